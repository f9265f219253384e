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

	takeScript, giveScript = goredis.NewScript(takeSource), goredis.NewScript(giveSource)
)

// A Throttle counts attempts across all replicas in named buckets. A bucket takes
// perMinute attempts at once, and then perMinute attempts a minute.
type Throttle struct{ client *Client }

// Take counts an attempt against every bucket and returns full = -1. If a bucket is full
// it counts nothing and returns the index of that bucket and the time until it takes
// another attempt. perMinute has one entry for each bucket. Errors wrap
// [room.ErrUnavailable].
func (t *Throttle) Take(ctx context.Context, buckets []string, perMinute []int) (full int, wait time.Duration, err error) {
	ctx, cancel := t.client.withTimeout(ctx)
	defer cancel()
	args := make([]any, 0, 2*len(buckets))
	for _, n := range perMinute {
		args = append(args, interval(n), n)
	}
	keys, err := t.keys("count an attempt", buckets)
	if err != nil {
		return -1, 0, err
	}
	answer, err := takeScript.Run(ctx, t.client.redis, keys, args...).Slice()
	if err != nil {
		return -1, 0, t.client.unavailable("count an attempt", err)
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

// Give takes back one attempt that Take has counted. Errors wrap [room.ErrUnavailable].
func (t *Throttle) Give(ctx context.Context, buckets []string, perMinute []int) error {
	ctx, cancel := t.client.withTimeout(ctx)
	defer cancel()
	args := make([]any, 0, len(buckets))
	for _, n := range perMinute {
		args = append(args, interval(n))
	}
	keys, err := t.keys("take an attempt back", buckets)
	if err != nil {
		return err
	}
	if err := giveScript.Run(ctx, t.client.redis, keys, args...).Err(); err != nil {
		return t.client.unavailable("take an attempt back", err)
	}
	return nil
}

// maxRecalled is the maximum length of a value that Recall returns. Others can write to
// Redis, too.
const maxRecalled = 1024

// Recall returns what [Throttle.Remember] keeps under a name, or "". Errors wrap
// [room.ErrUnavailable].
func (t *Throttle) Recall(ctx context.Context, name string) (string, error) {
	const attempt = "recall a sign-in"
	ctx, cancel := t.client.withTimeout(ctx)
	defer cancel()
	keys, err := t.keys(attempt, []string{name})
	if err != nil {
		return "", err
	}
	value, err := t.client.redis.GetRange(ctx, keys[0], 0, maxRecalled-1).Result()
	if err != nil {
		return "", t.client.unavailable(attempt, err)
	}
	return value, nil
}

// Remember keeps a value under a name for life. Errors wrap [room.ErrUnavailable].
func (t *Throttle) Remember(ctx context.Context, name, value string, life time.Duration) error {
	const attempt = "remember a sign-in"
	ctx, cancel := t.client.withTimeout(ctx)
	defer cancel()
	keys, err := t.keys(attempt, []string{name})
	if err != nil {
		return err
	}
	if err := t.client.redis.Set(ctx, keys[0], value, life).Err(); err != nil {
		return t.client.unavailable(attempt, err)
	}
	return nil
}

// interval returns the time between two attempts, in microseconds.
func interval(perMinute int) int64 { return time.Minute.Microseconds() / int64(perMinute) }

// keys puts all buckets into one slot of Redis Cluster, so that one script can use
// several. They are few and small.
func (t *Throttle) keys(attempt string, buckets []string) ([]string, error) {
	r, err := t.client.ring(attempt)
	if err != nil {
		return nil, err
	}
	keys := make([]string, len(buckets))
	for i, b := range buckets {
		keys[i] = t.client.name(&r.Deployment, "throttle", ":"+b)
	}
	return keys, nil
}
