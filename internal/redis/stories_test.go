package redis_test

import (
	"context"
	"errors"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/story"
	"github.com/roomspa/roomspa/internal/testkit/redistest"
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
	b := open(t, redis.Options{URL: url, Prefix: prefix, Timeout: redistest.Limit})
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

// TestStoriesTakeBoundedRoom keeps far more than there is room for.
func TestStoriesTakeBoundedRoom(t *testing.T) {
	t.Parallel()
	c, url, prefix := shared(t)
	var last *story.Story
	for i := range 200 {
		many := make([]*story.Story, 100)
		for j := range many {
			many[j] = failedStory(story.NewRef(), int64(1+(i*100+j)%50))
		}
		last = many[99]
		if err := c.Stories.Keep(t.Context(), many); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := c.Stories.Find(t.Context(), last.Ref); err != nil || len(found) != 1 {
		t.Errorf("the newest one is lost: %v", err)
	}
	keys, values, bytes := 0, int64(0), int64(0)
	redistest.Direct(t, url, func(ctx context.Context, r *goredis.Client) {
		for it := r.Scan(ctx, 0, prefix+"*", 1000).Iterator(); it.Next(ctx); keys++ {
			values += r.LLen(ctx, it.Val()).Val()
			bytes += r.MemoryUsage(ctx, it.Val(), 0).Val()
			if ttl := r.TTL(ctx, it.Val()).Val(); ttl < story.Day || ttl > 2*story.Day {
				t.Errorf("%s lives for %v", it.Val(), ttl)
			}
		}
	})
	if keys == 0 || keys > 2*(64+50) || values > 2*(64*128+50*64) || bytes > 30<<20 {
		t.Errorf("%d keys, %d values, %d bytes", keys, values, bytes)
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
