// Package batch coalesces items that arrive while a batch is being processed. It uses no timer:
// a single item is processed at once, and batches grow with the load.
package batch

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A Queue passes its items to a function in batches, in the order in which they were added. It
// processes one batch at a time, unless [Queue.AllowBesideSlow] was called.
// It is safe for concurrent use.
type Queue[T any] struct {
	run       func(context.Context, []T)
	batchSize int
	limit     int
	slow      slow

	mu      sync.Mutex
	changed sync.Cond // signals changes of the fields below
	waiting []T
	batches []*batch // that are being processed
	items   int      // in these batches
	started bool
	ending  bool
	stopped bool
}

// A batch is being processed.
type batch struct {
	items int
	began time.Time
}

// slow says when batches may go beside slow ones.
type slow struct {
	after        time.Duration
	items, limit int
	may          func() bool
}

// New returns a queue that calls run with up to batchSize items at a time and holds up to limit
// waiting items. run must not keep the slice.
func New[T any](batchSize, limit int, run func(context.Context, []T)) *Queue[T] {
	q := &Queue[T]{run: run, batchSize: batchSize, limit: limit}
	q.changed.L = &q.mu
	return q
}

// AllowBesideSlow allows up to limit concurrent batches, while those under way have fewer than
// items items together, all of them have taken longer than after, and may returns true. So where
// batches are slow and small, items wait less. It must be called before Run. may must not block.
func (q *Queue[T]) AllowBesideSlow(after time.Duration, items, limit int, may func() bool) {
	q.slow = slow{after, items, limit, may}
}

// Add adds an item. It never blocks. It returns false if the queue is full or has stopped.
func (q *Queue[T]) Add(item T) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	ok := q.add(item)
	if ok && q.mayStart() {
		q.changed.Signal()
	}
	return ok
}

// AddHeld is Add for an item that need not be processed before the next one is added. So the two
// are in one batch.
func (q *Queue[T]) AddHeld(item T) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.add(item)
}

// Do is [Queue.Add], but processes the next batch in the calling goroutine if it may be started.
// Then the item is processed when Do returns, without waiting for another goroutine. The context
// of the function does not end with ctx.
func (q *Queue[T]) Do(ctx context.Context, item T) bool {
	q.mu.Lock()
	if !q.add(item) {
		q.mu.Unlock()
		return false
	}
	if !q.started || !q.mayStart() {
		q.mu.Unlock()
		return true
	}
	items, b := q.start(nil)
	q.mu.Unlock()
	q.process(context.WithoutCancel(ctx), items, b)
	return true
}

func (q *Queue[T]) add(item T) bool {
	if q.stopped || len(q.waiting) >= q.limit {
		return false
	}
	q.waiting = append(q.waiting, item)
	return true
}

// mayStart reports whether another batch may be started.
func (q *Queue[T]) mayStart() bool {
	switch n := len(q.batches); {
	case n == 0:
		return true
	case n >= q.slow.limit || q.items >= q.slow.items:
		return false
	}
	young := func(b *batch) bool { return time.Since(b.began) < q.slow.after }
	return !slices.ContainsFunc(q.batches, young) && q.slow.may()
}

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
	q.mu.Lock()
	q.started = true
	q.mu.Unlock()
	work := context.WithoutCancel(ctx)
	var others sync.WaitGroup
	for range q.slow.limit - 1 {
		others.Go(func() { q.work(work) })
	}
	q.work(work)
	others.Wait()
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.batches) > 0 { // that callers of Do process
		q.changed.Wait()
	}
}

// work processes one batch after the other.
func (q *Queue[T]) work(ctx context.Context) {
	var spare []T
	for {
		items, b := q.take(spare)
		if b == nil {
			return
		}
		q.process(ctx, items, b)
		if spare = items[:0]; cap(items) > 4*q.batchSize {
			spare = nil
		}
	}
}

// process runs a batch, in parts if it is large.
func (q *Queue[T]) process(ctx context.Context, items []T, b *batch) {
	defer q.end(b, items) // also after a panic, so that others go on
	for rest := items; len(rest) > 0; {
		n := min(q.batchSize, len(rest))
		q.run(ctx, rest[:n])
		rest = rest[n:]
	}
}

// end ends a batch.
func (q *Queue[T]) end(b *batch, items []T) {
	clear(items) // lets the items be garbage-collected
	q.mu.Lock()
	defer q.mu.Unlock()
	q.batches = slices.DeleteFunc(q.batches, func(other *batch) bool { return other == b })
	q.items -= b.items
	switch {
	case q.ending:
		q.changed.Broadcast()
	case len(q.waiting) > 0:
		q.changed.Signal()
	}
}

// take waits for items and starts a batch of them. It returns none when the queue has stopped.
// The next items are collected in spare.
func (q *Queue[T]) take(spare []T) ([]T, *batch) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) == 0 || !q.mayStart() {
		if q.ending && len(q.waiting) == 0 {
			q.stopped = true
			q.changed.Broadcast()
			return nil, nil
		}
		q.changed.Wait()
	}
	return q.start(spare)
}

// start starts a batch of the items that are waiting. The next ones are collected in spare.
func (q *Queue[T]) start(spare []T) ([]T, *batch) {
	items, b := q.waiting, &batch{len(q.waiting), time.Now()}
	q.waiting = spare
	q.batches, q.items = append(q.batches, b), q.items+b.items
	return items, b
}

// Len returns the number of waiting items.
func (q *Queue[T]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}
