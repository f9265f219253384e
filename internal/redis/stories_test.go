package redis_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/story"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func failedStory(ref string, user int64) *story.Story {
	s := story.Begin(ref)
	s.User = user
	s.Refuse(story.Refused, 4001, "token_expired", "", "expired 5m ago")
	return s
}

func TestStoriesAreFoundByEveryReplica(t *testing.T) {
	t.Parallel()
	a, url, prefix := shared(t)
	b := open(t, redis.Options{URL: url, Prefix: prefix, Timeout: world.Limit})
	one, two := failedStory(story.NewRef(), 7), failedStory(story.NewRef(), 7)
	back := &story.Story{Version: story.Version, Ref: one.Ref, Returns: []story.Return{{Ref: two.Ref, Code: "1006"}}}
	if err := a.Stories.Keep(t.Context(), []*story.Story{one, failedStory(story.NewRef(), 8), back}); err != nil {
		t.Fatal(err)
	}
	if err := a.Stories.Keep(t.Context(), []*story.Story{two}); err != nil {
		t.Fatal(err)
	}
	found, err := b.Stories.Find(t.Context(), one.Ref)
	if s := story.Merge(found); err != nil || s == nil || s.Reason != "token_expired" || len(s.Returns) != 1 {
		t.Errorf("found %+v, %v", s, err)
	}
	failures, err := b.Stories.Failures(t.Context(), 7)
	if err != nil || len(failures) != 2 || failures[0].Ref != two.Ref || failures[1].Ref != one.Ref {
		t.Errorf("the failures of the user are %+v, %v", failures, err)
	}
	if found, err := b.Stories.Find(t.Context(), story.NewRef()); err != nil || len(found) != 0 {
		t.Errorf("found %v under a reference that nobody has, %v", found, err)
	}
}

// Stories have a bounded number of lists, and each list has a bounded length. So they
// take bounded room, however many handshakes fail.
func TestStoriesTakeBoundedRoom(t *testing.T) {
	t.Parallel()
	c, url, prefix := shared(t)
	keep := func(batches int, ref func() string, user func() int64) {
		t.Helper()
		for range batches {
			batch := make([]*story.Story, 100)
			for i := range batch {
				batch[i] = failedStory(ref(), user())
			}
			if err := c.Stories.Keep(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
		}
	}
	users := int64(0)
	keep(30, story.NewRef, func() int64 { users++; return users })
	same := story.NewRef()
	keep(4, func() string { return same }, func() int64 { return 1 })
	last := failedStory(story.NewRef(), 1)
	if err := c.Stories.Keep(t.Context(), []*story.Story{last}); err != nil {
		t.Fatal(err)
	}
	if found, err := c.Stories.Find(t.Context(), last.Ref); err != nil || len(found) != 1 {
		t.Errorf("the newest one is lost: %v", err)
	}
	keys := map[string]int{}
	world.RedisDirect(t, url, func(ctx context.Context, r *goredis.Client) {
		names := r.Keys(ctx, prefix+"*").Val()
		lengths, ttls := make([]*goredis.IntCmd, len(names)), make([]*goredis.DurationCmd, len(names))
		_, err := r.Pipelined(ctx, func(p goredis.Pipeliner) error {
			for i, name := range names {
				lengths[i], ttls[i] = p.LLen(ctx, name), p.TTL(ctx, name)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		for i, name := range names {
			_, list, _ := strings.Cut(name, "}:")
			list, _, _ = strings.Cut(list, ":")
			keys[list]++
			if n, most := lengths[i].Val(), map[string]int64{"stories": 128, "failures": 64}[list]; n > most {
				t.Errorf("%s has %d values, want at most %d", name, n, most)
			}
			if ttl := ttls[i].Val(); ttl < story.Day || ttl > 2*story.Day {
				t.Errorf("%s lives for %v", name, ttl)
			}
		}
	})
	if n := keys["stories"]; n == 0 || n > 2*64 { // twice, if a window begins meanwhile
		t.Errorf("%d lists of stories", n)
	}
	if n := keys["failures"]; n == 0 || n > 2*1024 {
		t.Errorf("%d lists of failures", n)
	}
}

func TestStoriesWithoutRedis(t *testing.T) {
	t.Parallel()
	c := open(t, redis.Options{URL: "redis://127.0.0.1:1"})
	err := c.Stories.Keep(t.Context(), []*story.Story{failedStory(story.NewRef(), 1)})
	_, found := c.Stories.Find(t.Context(), story.NewRef())
	for _, err := range []error{err, found} {
		if err == nil || errors.Is(err, story.ErrUnknown) {
			t.Errorf("got %v", err)
		}
	}
}
