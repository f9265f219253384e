package redis

import (
	"context"
	"fmt"
	"hash/fnv"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/story"
)

// Stories lie in lists of the newest so many, a fixed number of lists for each part of
// a day: so there is a bound on keys and on bytes however many handshakes fail, a flood
// takes no room from the parts of the day before it, and what is older than a day and a
// bit is gone. In all 8,192 stories of some 700 bytes (4 KiB at most) each six hours.
const (
	storyWindow   = 6 * time.Hour
	storyLife     = story.Day + storyWindow
	storyLists    = 64
	storiesEach   = 128
	returnsEach   = 64
	failureLists  = 1024
	failuresEach  = 64
	storyWindows  = int(storyLife/storyWindow) + 1 // that may hold something younger than a day
	failuresShown = failuresEach
)

// Stories keeps the stories of failed connections for all replicas. It has no state of
// its own.
type Stories struct {
	prefix string
	redis  goredis.UniversalClient
}

var _ story.Store = (*Stories)(nil)

// Keep keeps stories, all in one round trip. An error wraps [room.ErrUnavailable].
func (s *Stories) Keep(ctx context.Context, stories []*story.Story) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	lists := map[string][]any{}
	most := map[string]int64{}
	add := func(key string, limit int64, value []byte) {
		lists[key], most[key] = append(lists[key], append([]byte{version}, value...)), limit
	}
	window := windowOf(time.Now())
	for _, t := range stories {
		if t.Outcome == "" && t.End == nil {
			add(s.returns(window, t.Ref), returnsEach, t.Encode())
			continue
		}
		add(s.stories(window, t.Ref), storiesEach, t.Encode())
		if f, ok := t.Failure(); ok {
			add(s.failures(window, f.User), failuresEach, f.Encode())
		}
	}
	_, err := s.redis.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for key, values := range lists {
			p.LPush(ctx, key, values...)
			p.LTrim(ctx, key, 0, most[key]-1)
			p.Expire(ctx, key, storyLife)
		}
		return nil
	})
	if err != nil {
		return unavailable("keep stories", err)
	}
	return nil
}

// Find returns what was kept under a reference. An error wraps [room.ErrUnavailable].
func (s *Stories) Find(ctx context.Context, ref string) ([]*story.Story, error) {
	var keys []string
	for _, w := range windows() {
		keys = append(keys, s.stories(w, ref), s.returns(w, ref))
	}
	var found []*story.Story
	err := s.each(ctx, "look for a story", keys, func(value []byte) {
		if t, ok := story.Decode(value); ok && t.Ref == ref {
			found = append(found, t)
		}
	})
	return found, err
}

// Failures returns what failed of a user's within a day, newest first. An error wraps
// [room.ErrUnavailable].
func (s *Stories) Failures(ctx context.Context, user int64) ([]story.Failure, error) {
	var keys []string
	for _, w := range windows() {
		keys = append(keys, s.failures(w, user))
	}
	var found []story.Failure
	err := s.each(ctx, "look for a user's failures", keys, func(value []byte) {
		f, ok := story.DecodeFailure(value)
		if ok && f.User == user && time.Since(f.At) < story.Day && len(found) < failuresShown {
			found = append(found, f)
		}
	})
	return found, err
}

// each calls f with every value of the lists, in their order.
func (s *Stories) each(ctx context.Context, attempt string, keys []string, f func([]byte)) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	lists := make([]*goredis.StringSliceCmd, len(keys))
	_, err := s.redis.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i, key := range keys {
			lists[i] = p.LRange(ctx, key, 0, -1)
		}
		return nil
	})
	if err != nil {
		return unavailable(attempt, err)
	}
	for _, list := range lists {
		for _, value := range list.Val() {
			if len(value) > 1 && value[0] == version {
				f([]byte(value[1:]))
			}
		}
	}
	return nil
}

func windowOf(t time.Time) int64 { return t.Unix() / int64(storyWindow.Seconds()) }

// windows are those that may hold what is younger than a day, the newest first, and
// the one to come: another replica's clock may be ahead.
func windows() []int64 {
	all := make([]int64, 0, storyWindows+1)
	for w := windowOf(time.Now()) + 1; len(all) < cap(all); w-- {
		all = append(all, w)
	}
	return all
}

func (s *Stories) stories(window int64, ref string) string {
	return fmt.Sprintf("%sstories:%d:%d", s.prefix, window, list(ref, storyLists))
}

func (s *Stories) returns(window int64, ref string) string {
	return fmt.Sprintf("%sreturns:%d:%d", s.prefix, window, list(ref, storyLists))
}

func (s *Stories) failures(window, user int64) string {
	return fmt.Sprintf("%sfailures:%d:%d", s.prefix, window, list(strconv.FormatInt(user, 10), failureLists))
}

// list returns which of n lists a name lies in.
func list(name string, n uint32) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // a hash takes anything
	return h.Sum32() % n
}
