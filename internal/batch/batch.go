// Package batch gathers requests that arrive while one is under way and hands
// them over together. There is no timer: a lone request waits for nobody, and
// under load the batches grow by themselves.
package batch

import (
	"context"
	"sync"
)

// A Queue hands its items to one function, batch after batch, in the order in
// which they were added, never two batches at once. Make one with [New].
type Queue[T any] struct {
	run   func(context.Context, []T)
	most  int
	limit int
	wake  chan struct{}

	mu      sync.Mutex
	waiting []T
	stopped bool
}

// New returns a queue that calls run with at most most items at a time and holds
// at most limit that wait. The slice belongs to the queue again when run returns.
func New[T any](most, limit int, run func(context.Context, []T)) *Queue[T] {
	return &Queue[T]{run: run, most: most, limit: limit, wake: make(chan struct{}, 1)}
}

// Add hands in an item. It never blocks, and returns false where the queue is
// full or has stopped.
func (q *Queue[T]) Add(item T) bool {
	q.mu.Lock()
	if q.stopped || len(q.waiting) >= q.limit {
		q.mu.Unlock()
		return false
	}
	q.waiting = append(q.waiting, item)
	first := len(q.waiting) == 1
	q.mu.Unlock()
	if first {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
	return true
}

// Run hands batches over until ctx ends, then what is still waiting, and returns.
// The context that run gets is not cancelled by ctx: a batch is never torn.
func (q *Queue[T]) Run(ctx context.Context) {
	work := context.WithoutCancel(ctx)
	var spare []T
	for {
		q.mu.Lock()
		items := q.waiting
		if len(items) > 0 {
			q.waiting = spare[:0]
		} else if ctx.Err() != nil {
			q.stopped = true
			q.mu.Unlock()
			return
		}
		q.mu.Unlock()
		if len(items) == 0 {
			select {
			case <-q.wake:
			case <-ctx.Done():
			}
			continue
		}
		for rest := items; len(rest) > 0; {
			n := min(q.most, len(rest))
			q.run(work, rest[:n])
			rest = rest[n:]
		}
		clear(items) // so that it keeps nothing of the items alive
		spare = items
		if cap(spare) > 4*q.most {
			spare = nil
		}
	}
}

// Len returns how many items wait.
func (q *Queue[T]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}
