package api

import (
	"container/heap"
	"context"
	"sync"
	"time"
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
// reset. What it refuses itself does not reach Redis.
//
// It keeps at most maxBuckets buckets. Full ones are forgotten first, because they hold
// nothing, and then the one that will be full soonest. So a flood of attempts cannot cheaply
// reset the bucket of an attacked account: it must keep maxBuckets others emptier. An attempt
// makes at most six buckets, each of them as empty only after as large a share of its limit,
// and costs the verification of a password each time.
type replicaThrottle struct {
	fleet Throttle
	max   int // buckets

	mu      sync.Mutex
	buckets map[string]*replicaBucket
	soonest soonest // all of them
}

// A replicaBucket regains a token each interval until it is full.
type replicaBucket struct {
	name     string
	interval time.Duration
	full     time.Time // when it is full again
	index    int       // in soonest
}

func newReplicaThrottle(fleet Throttle) *replicaThrottle {
	return &replicaThrottle{fleet: fleet, max: maxBuckets, buckets: map[string]*replicaBucket{}}
}

// Take implements [Throttle]. It fails without Redis.
func (t *replicaThrottle) Take(ctx context.Context, buckets []string, perMinute []int) (full int, wait time.Duration, err error) {
	if full, wait = t.check(buckets, perMinute, false); full >= 0 {
		return full, wait, nil
	}
	full, wait, err = t.fleet.Take(ctx, buckets, perMinute)
	if err != nil || full >= 0 {
		return full, wait, err
	}
	if full, wait = t.check(buckets, perMinute, true); full >= 0 { // other attempts came meanwhile
		_ = t.fleet.Give(context.WithoutCancel(ctx), buckets, perMinute) // has its own timeout
	}
	return full, wait, nil
}

// Give implements [Throttle].
func (t *replicaThrottle) Give(ctx context.Context, buckets []string, perMinute []int) error {
	t.mu.Lock()
	for _, name := range buckets {
		if b := t.buckets[name]; b != nil {
			b.full = b.full.Add(-b.interval)
			heap.Fix(&t.soonest, b.index)
		}
	}
	t.mu.Unlock()
	return t.fleet.Give(ctx, buckets, perMinute)
}

// check is Take on this replica. It takes nothing if take is false.
func (t *replicaThrottle) check(buckets []string, perMinute []int, take bool) (full int, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	full = -1
	for i, name := range buckets {
		if b := t.buckets[name]; b != nil {
			capacity := b.interval * time.Duration(perMinute[i])
			if w := b.full.Add(b.interval - capacity).Sub(now.Add(leeway)); w > wait {
				full, wait = i, w
			}
		}
	}
	if full >= 0 || !take {
		return full, wait
	}
	for i, name := range buckets {
		t.take(name, time.Minute/time.Duration(perMinute[i]), now)
	}
	return -1, 0
}

func (t *replicaThrottle) take(name string, interval time.Duration, now time.Time) {
	for len(t.soonest) > 0 && !t.soonest[0].full.After(now) {
		t.forget()
	}
	b := t.buckets[name]
	if b == nil {
		if len(t.soonest) >= t.max {
			t.forget()
		}
		b = &replicaBucket{name: name, interval: interval, full: now}
		t.buckets[name] = b
		heap.Push(&t.soonest, b)
	}
	b.full = b.full.Add(interval)
	heap.Fix(&t.soonest, b.index)
}

// forget deletes the bucket that is full soonest.
func (t *replicaThrottle) forget() {
	b, _ := heap.Pop(&t.soonest).(*replicaBucket)
	delete(t.buckets, b.name)
}

// soonest is a [heap.Interface] of buckets, of which the first will be full soonest.
type soonest []*replicaBucket

func (s soonest) Len() int           { return len(s) }
func (s soonest) Less(i, j int) bool { return s[i].full.Before(s[j].full) }

func (s soonest) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = i, j
}

// Push implements [heap.Interface].
func (s *soonest) Push(x any) {
	b, _ := x.(*replicaBucket)
	b.index = len(*s)
	*s = append(*s, b)
}

// Pop implements [heap.Interface].
func (s *soonest) Pop() any {
	last := len(*s) - 1
	b := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	return b
}
