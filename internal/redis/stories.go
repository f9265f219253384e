package redis

import (
	"context"
	"fmt"
	"hash/fnv"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/event"
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
	const attempt = "keep stories"
	ring, err := s.client.ring(attempt)
	if err != nil {
		return err
	}
	lists := map[string][]any{}
	most := map[string]int64{}
	now := time.Now()
	add := func(key string, limit int64, value event.Body) {
		lists[key], most[key] = append(lists[key], ring.Seal(nil, key, now, value)), limit
	}
	window := windowOf(now)
	for _, t := range stories {
		if t.Outcome == "" && t.End == nil {
			add(s.returns(ring, window, t.Ref), returnsEach, event.Story(t.Encode()))
			continue
		}
		add(s.stories(ring, window, t.Ref), storiesEach, event.Story(t.Encode()))
		if f, ok := t.Failure(); ok {
			add(s.failures(ring, window, f.User), failuresEach, event.Failure(f.Encode()))
		}
	}
	_, err = s.client.redis.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for key, values := range lists {
			p.LPush(ctx, key, values...)
			p.LTrim(ctx, key, 0, most[key]-1)
			p.Expire(ctx, key, storyLife)
		}
		return nil
	})
	if err != nil {
		return s.client.unavailable(attempt, err)
	}
	return nil
}

// Find returns the stories of a reference. Errors wrap [room.ErrUnavailable].
func (s *Stories) Find(ctx context.Context, ref string) ([]*story.Story, error) {
	keys := func(ring *event.Ring) (keys []string) {
		for _, w := range windows() {
			keys = append(keys, s.stories(ring, w, ref), s.returns(ring, w, ref))
		}
		return keys
	}
	var found []*story.Story
	err := s.each(ctx, "look for a story", event.KindStory, keys, func(value []byte) {
		if t, ok := story.Decode(value); ok && t.Ref == ref {
			found = append(found, t)
		}
	})
	return found, err
}

// Failures returns the failures of a user within the last day, newest first. Errors wrap
// [room.ErrUnavailable].
func (s *Stories) Failures(ctx context.Context, user int64) ([]story.Failure, error) {
	keys := func(ring *event.Ring) (keys []string) {
		for _, w := range windows() {
			keys = append(keys, s.failures(ring, w, user))
		}
		return keys
	}
	var found []story.Failure
	err := s.each(ctx, "look for a user's failures", event.KindFailure, keys, func(value []byte) {
		f, ok := story.DecodeFailure(value)
		if ok && f.User == user && time.Since(f.At) < story.Day && len(found) < failuresShown {
			found = append(found, f)
		}
	})
	return found, err
}

// each calls f with the body of each event of a kind in the lists, in order. It passes over
// copies: whoever can write to Redis may put an event into its list again.
func (s *Stories) each(ctx context.Context, attempt string, kind event.Kind, of func(*event.Ring) []string, f func([]byte)) error {
	ctx, cancel := s.client.withTimeout(ctx)
	defer cancel()
	ring, err := s.client.ring(attempt)
	if err != nil {
		return err
	}
	keys := of(ring)
	lists := make([]*goredis.StringSliceCmd, len(keys))
	_, err = s.client.redis.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i, key := range keys {
			lists[i] = p.LRange(ctx, key, 0, storiesEach-1) // no list is longer
		}
		return nil
	})
	if err != nil {
		return s.client.unavailable(attempt, err)
	}
	type origin struct {
		sender  event.ProcessID
		counter uint64
	}
	seen := map[origin]bool{}
	for i, list := range lists {
		for _, value := range list.Val() {
			e, err := s.client.Open(ring, keys[i], []byte(value), 0)
			from := origin{e.Sender, e.Counter}
			if err == nil && e.Kind == kind && !seen[from] {
				seen[from] = true
				f(e.Body)
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

func (s *Stories) stories(ring *event.Ring, window int64, ref string) string {
	return s.key(ring, "stories", window, list(ref, storyLists))
}

func (s *Stories) returns(ring *event.Ring, window int64, ref string) string {
	return s.key(ring, "returns", window, list(ref, storyLists))
}

func (s *Stories) failures(ring *event.Ring, window, user int64) string {
	return s.key(ring, "failures", window, list(strconv.FormatInt(user, 10), failureLists))
}

func (s *Stories) key(ring *event.Ring, what string, window int64, list uint32) string {
	return s.client.name(&ring.Deployment, fmt.Sprintf("%s:%d:%d", what, window, list), "")
}

// list returns the index of the list, of n, that holds a name.
func list(name string, n uint32) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // it returns no error
	return h.Sum32() % n
}
