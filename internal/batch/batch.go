// Package batch gathers requests that arrive while one is under way and hands
// them over together. There is no timer: a lone request waits for nobody, and
// under load the batches grow by themselves.
package batch

import (
	"context"
	"sync"
)

// A Queue hands its items to one function, batch after batch, in the order in
// which they were added. Two batches are never under way at once, but where
// [Queue.Beside] allows it. Make one with [New].
type Queue[T any] struct {
	run   func(context.Context, []T)
	most  int
	limit int
	small int

	mu      sync.Mutex
	change  sync.Cond // of what follows
	waiting []T
	batches int // under way
	items   int // in these
	ending  bool
	stopped bool
}

// New returns a queue that calls run with at most most items at a time and holds
// at most limit that wait. The slice belongs to the queue again when run returns.
func New[T any](most, limit int, run func(context.Context, []T)) *Queue[T] {
	q := &Queue[T]{run: run, most: most, limit: limit}
	q.change.L = &q.mu
	return q
}

// Beside lets a second batch go beside one of at most small items: where there is
// little to do nobody waits for somebody else's batch, and where there is much the
// batches stay large. Call it before Run.
func (q *Queue[T]) Beside(small int) { q.small = small }

// Add hands in an item. It never blocks, and returns false where the queue is
// full or has stopped.
func (q *Queue[T]) Add(item T) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped || len(q.waiting) >= q.limit {
		return false
	}
	q.waiting = append(q.waiting, item)
	if q.free() {
		q.change.Signal()
	}
	return true
}

// free reports whether a batch may begin.
func (q *Queue[T]) free() bool { return q.batches == 0 || q.batches == 1 && q.items <= q.small }

// Run hands batches over until ctx ends, then what is still waiting, and returns.
// The context that run gets is not cancelled by ctx: a batch is never torn.
func (q *Queue[T]) Run(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.ending = true
		q.change.Broadcast()
	})
	defer stop()
	work := context.WithoutCancel(ctx)
	var second sync.WaitGroup
	if q.small > 0 {
		second.Go(func() { q.work(work) })
	}
	q.work(work)
	second.Wait()
}

// work hands over one batch after the other.
func (q *Queue[T]) work(ctx context.Context) {
	var items []T
	for {
		if items = q.take(items[:0]); len(items) == 0 {
			return
		}
		for rest := items; len(rest) > 0; {
			n := min(q.most, len(rest))
			q.run(ctx, rest[:n])
			rest = rest[n:]
		}
		q.mu.Lock()
		q.batches, q.items = q.batches-1, q.items-len(items)
		q.change.Signal()
		q.mu.Unlock()
		clear(items) // so that it keeps nothing of the items alive
		if cap(items) > 4*q.most {
			items = nil
		}
	}
}

// take waits for items, and returns them; none when the queue has stopped. What waits
// next goes into spare.
func (q *Queue[T]) take(spare []T) []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) == 0 || !q.free() {
		if q.ending && len(q.waiting) == 0 {
			q.stopped = true
			q.change.Broadcast()
			return nil
		}
		q.change.Wait()
	}
	items := q.waiting
	q.waiting = spare
	q.batches, q.items = q.batches+1, q.items+len(items)
	return items
}

// Len returns how many items wait.
func (q *Queue[T]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}
