package api

import (
	"context"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// maxBuckets is the maximum number of buckets that a replica keeps, some 3 MiB.
	maxBuckets = 10_000
	// leeway is how much earlier than the other replicas this one allows an attempt, because
	// the times at which Redis and this replica count an attempt differ.
	leeway = time.Second
)

// A replicaThrottle counts attempts across replicas, and again on this replica alone: whoever
// can write to Redis can reset the common buckets, but not these. Both have the same limits, so
// this replica refuses nothing that the replicas together allow, unless the common buckets were
// reset.
//
// It keeps at most maxBuckets buckets. Full ones are forgotten first, because they hold
// nothing, and then the one that will be full soonest. So a flood of attempts cannot cheaply
// reset the bucket of an attacked account: it must keep maxBuckets others emptier. An attempt
// makes at most three buckets, each of them as empty only after as large a share of its limit,
// and costs the verification of a password each time.
type replicaThrottle struct {
	fleet Throttle
	max   int // buckets

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
}

func newReplicaThrottle(fleet Throttle) *replicaThrottle {
	return &replicaThrottle{fleet: fleet, max: maxBuckets, buckets: map[string]*rate.Limiter{}}
}

// Take implements [Throttle]. It fails without Redis.
func (t *replicaThrottle) Take(ctx context.Context, buckets []string, perMinute []int) (full int, wait time.Duration, err error) {
	full, wait, err = t.fleet.Take(ctx, buckets, perMinute)
	if err != nil || full >= 0 {
		return full, wait, err
	}
	if full, wait = t.take(buckets, perMinute); full >= 0 {
		_ = t.fleet.Give(context.WithoutCancel(ctx), buckets, perMinute) // has its own timeout
	}
	return full, wait, nil
}

// Give implements [Throttle].
func (t *replicaThrottle) Give(ctx context.Context, buckets []string, perMinute []int) error {
	t.mu.Lock()
	for _, name := range buckets {
		if b := t.buckets[name]; b != nil {
			b.AllowN(time.Now(), -1)
		}
	}
	t.mu.Unlock()
	return t.fleet.Give(ctx, buckets, perMinute)
}

// take is Take on this replica.
func (t *replicaThrottle) take(buckets []string, perMinute []int) (full int, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	full = -1
	for i, name := range buckets {
		if b := t.buckets[name]; b != nil {
			if w := timeUntil(b, 1, now.Add(leeway)); w > wait {
				full, wait = i, w
			}
		}
	}
	if full >= 0 {
		return full, wait
	}
	for i, name := range buckets {
		b := t.buckets[name]
		if b == nil {
			if len(t.buckets) >= t.max {
				t.forget(now)
			}
			b = rate.NewLimiter(rate.Limit(perMinute[i])/60, perMinute[i])
			t.buckets[name] = b
		}
		b.ReserveN(now, 1)
	}
	return -1, 0
}

// forget deletes the full buckets, or if there are none the one that will be full soonest.
func (t *replicaThrottle) forget(now time.Time) {
	var next string
	soonest := time.Duration(math.MaxInt64)
	for name, b := range t.buckets {
		wait := timeUntil(b, b.Burst(), now)
		if wait < soonest {
			next, soonest = name, wait
		}
		if wait <= 0 {
			delete(t.buckets, name)
		}
	}
	delete(t.buckets, next)
}

// timeUntil returns the time until a bucket has so many tokens. It is not positive if the
// bucket has them.
func timeUntil(b *rate.Limiter, tokens int, now time.Time) time.Duration {
	return time.Duration((float64(tokens) - b.TokensAt(now)) / float64(b.Limit()) * float64(time.Second))
}
