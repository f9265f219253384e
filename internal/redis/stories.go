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

// Stories are kept in lists of limited length, with a fixed number of lists for each
// window of the day. This bounds keys and bytes, however many handshakes fail. A flood
// does not displace the stories of earlier windows. Lists expire after a day and a
// window. At most 8,192 stories of some 700 bytes (at most 4 KiB) are kept for each window.
const (
	storyWindow   = 6 * time.Hour
	storyLife     = story.Day + storyWindow
	storyLists    = 64
	storiesEach   = 128
	returnsEach   = 64
	failureLists  = 1024
	failuresEach  = 64
	storyWindows  = int(storyLife/storyWindow) + 1 // that may hold stories of the last day
	failuresShown = failuresEach
)

// Stories stores the stories of failed connections for all replicas.
type Stories struct{ client *Client }

var _ story.Store = (*Stories)(nil)

// Keep stores stories in one round trip. Errors wrap [room.ErrUnavailable].
func (s *Stories) Keep(ctx context.Context, stories []*story.Story) error {
	ctx, cancel := s.client.withTimeout(ctx)
	defer cancel()
	lists := map[string][]any{}
	most := map[string]int64{}
	add := func(key string, limit int64, value []byte) {
		lists[key], most[key] = append(lists[key], append([]byte{Version}, value...)), limit
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
	_, err := s.client.redis.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for key, values := range lists {
			p.LPush(ctx, key, values...)
			p.LTrim(ctx, key, 0, most[key]-1)
			p.Expire(ctx, key, storyLife)
		}
		return nil
	})
	if err != nil {
		return s.client.unavailable("keep stories", err)
	}
	return nil
}

// Find returns the stories of a reference. Errors wrap [room.ErrUnavailable].
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

// Failures returns the failures of a user within the last day, newest first. Errors wrap
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

// each calls f with each value of the lists, in order.
func (s *Stories) each(ctx context.Context, attempt string, keys []string, f func([]byte)) error {
	ctx, cancel := s.client.withTimeout(ctx)
	defer cancel()
	lists := make([]*goredis.StringSliceCmd, len(keys))
	_, err := s.client.redis.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i, key := range keys {
			lists[i] = p.LRange(ctx, key, 0, -1)
		}
		return nil
	})
	if err != nil {
		return s.client.unavailable(attempt, err)
	}
	for _, list := range lists {
		for _, value := range list.Val() {
			if len(value) > 1 && value[0] == Version {
				f([]byte(value[1:]))
			}
		}
	}
	return nil
}

func windowOf(t time.Time) int64 { return t.Unix() / int64(storyWindow.Seconds()) }

// windows returns the windows that may hold stories of the last day, newest first. It
// begins with the next window, since the clock of another replica may be ahead.
func windows() []int64 {
	all := make([]int64, 0, storyWindows+1)
	for w := windowOf(time.Now()) + 1; len(all) < cap(all); w-- {
		all = append(all, w)
	}
	return all
}

func (s *Stories) stories(window int64, ref string) string {
	return fmt.Sprintf("%sstories:%d:%d", s.client.prefix, window, list(ref, storyLists))
}

func (s *Stories) returns(window int64, ref string) string {
	return fmt.Sprintf("%sreturns:%d:%d", s.client.prefix, window, list(ref, storyLists))
}

func (s *Stories) failures(window, user int64) string {
	return fmt.Sprintf("%sfailures:%d:%d", s.client.prefix, window, list(strconv.FormatInt(user, 10), failureLists))
}

// list returns the index of the list, of n, that holds a name.
func list(name string, n uint32) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // it returns no error
	return h.Sum32() % n
}
