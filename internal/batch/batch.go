// Package batch coalesces items that arrive while a batch is being processed. It uses no timer:
// a single item is processed at once, and batches grow with the load.
package batch

import (
	"context"
	"sync"
)

// A Queue passes its items to a function in batches, in the order in which they were added. It
// processes one batch at a time, unless [Queue.AllowSecond] was called. It is safe for
// concurrent use.
type Queue[T any] struct {
	run       func(context.Context, []T)
	batchSize int
	limit     int
	small     int

	mu      sync.Mutex
	changed sync.Cond // signals changes of the fields below
	waiting []T
	batches int // batches being processed
	items   int // items in these batches
	ending  bool
	stopped bool
}

// New returns a queue that calls run with up to batchSize items at a time and holds up to limit
// waiting items. run must not keep the slice.
func New[T any](batchSize, limit int, run func(context.Context, []T)) *Queue[T] {
	q := &Queue[T]{run: run, batchSize: batchSize, limit: limit}
	q.changed.L = &q.mu
	return q
}

// AllowSecond allows a second concurrent batch while the first one has at most small items. Items
// then wait less under low load, and batches stay large under high load. It must be called
// before Run.
func (q *Queue[T]) AllowSecond(small int) { q.small = small }

// Add adds an item. It never blocks. It returns false if the queue is full or has stopped.
func (q *Queue[T]) Add(item T) bool { return q.add(item, true) }

// AddHeld is Add for an item that need not be processed before the next one is added. So the two
// are in one batch.
func (q *Queue[T]) AddHeld(item T) bool { return q.add(item, false) }

func (q *Queue[T]) add(item T, start bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped || len(q.waiting) >= q.limit {
		return false
	}
	q.waiting = append(q.waiting, item)
	if start && q.mayStart() {
		q.changed.Signal()
	}
	return true
}

// mayStart reports whether another batch may be started.
func (q *Queue[T]) mayStart() bool { return q.batches == 0 || q.batches == 1 && q.items <= q.small }

// Run processes batches until ctx ends and no items are waiting. The context of the function
// does not end with ctx, so that no batch is interrupted.
func (q *Queue[T]) Run(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.ending = true
		q.changed.Broadcast()
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

// work processes one batch after the other.
func (q *Queue[T]) work(ctx context.Context) {
	var items []T
	for {
		if items = q.take(items[:0]); len(items) == 0 {
			return
		}
		for rest := items; len(rest) > 0; {
			n := min(q.batchSize, len(rest))
			q.run(ctx, rest[:n])
			rest = rest[n:]
		}
		q.mu.Lock()
		q.batches, q.items = q.batches-1, q.items-len(items)
		q.changed.Signal()
		q.mu.Unlock()
		clear(items) // lets the items be garbage-collected
		if cap(items) > 4*q.batchSize {
			items = nil
		}
	}
}

// take waits for items and returns them. It returns none when the queue has stopped. The next
// items are collected in spare.
func (q *Queue[T]) take(spare []T) []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) == 0 || !q.mayStart() {
		if q.ending && len(q.waiting) == 0 {
			q.stopped = true
			q.changed.Broadcast()
			return nil
		}
		q.changed.Wait()
	}
	items := q.waiting
	q.waiting = spare
	q.batches, q.items = q.batches+1, q.items+len(items)
	return items
}

// Len returns the number of waiting items.
func (q *Queue[T]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}
