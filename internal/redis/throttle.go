package redis

import (
	"context"
	_ "embed" // for the scripts
	"fmt"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

var (
	//go:embed lua/take.lua
	takeSource string
	//go:embed lua/give.lua
	giveSource string
)

// A Throttle counts attempts across all replicas, in buckets that have room for so
// many at once and empty at so many a minute. It has no state of its own.
type Throttle struct {
	prefix     string
	redis      goredis.UniversalClient
	take, give *goredis.Script
}

func newThrottle(prefix string, client goredis.UniversalClient) *Throttle {
	return &Throttle{prefix: prefix, redis: client, take: goredis.NewScript(takeSource), give: goredis.NewScript(giveSource)}
}

// Take counts an attempt against each bucket, or against none where one of them is
// full: then it returns which one, and when it will have room. Otherwise full is
// -1. perMinute is for each bucket how many have room at once, and how many a
// minute after that. An error wraps [room.ErrUnavailable].
func (t *Throttle) Take(ctx context.Context, buckets []string, perMinute []int) (full int, wait time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	args := make([]any, 0, 2*len(buckets))
	for _, n := range perMinute {
		args = append(args, each(n), n)
	}
	answer, err := t.take.Run(ctx, t.redis, t.keys(buckets), args...).Slice()
	if err != nil {
		return -1, 0, unavailable("count an attempt", err)
	}
	if len(answer) != 2 {
		return -1, 0, fmt.Errorf("count an attempt: the script returned %d values", len(answer))
	}
	which, _ := answer[0].(int64)
	text, _ := answer[1].(string)
	micros, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return -1, 0, fmt.Errorf("count an attempt: the script returned %q", text)
	}
	return int(which) - 1, time.Duration(micros) * time.Microsecond, nil
}

// Give takes back what Take has counted: the attempt was none after all.
func (t *Throttle) Give(ctx context.Context, buckets []string, perMinute []int) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	args := make([]any, 0, len(buckets))
	for _, n := range perMinute {
		args = append(args, each(n))
	}
	if err := t.give.Run(ctx, t.redis, t.keys(buckets), args...).Err(); err != nil {
		return unavailable("take an attempt back", err)
	}
	return nil
}

func each(perMinute int) int64 { return time.Minute.Microseconds() / int64(perMinute) }

// keys puts all buckets into one slot of Redis Cluster, so that one script can
// look at several: they are few and small.
func (t *Throttle) keys(buckets []string) []string {
	keys := make([]string, len(buckets))
	for i, b := range buckets {
		keys[i] = t.prefix + "{throttle}:" + b
	}
	return keys
}
