package postgres

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/roomspa/roomspa/internal/batch"
)

const (
	// maxReadBatch is the number of coalesced reads in one query.
	maxReadBatch = 500
	// maxQueue is the number of calls of one kind that may wait. A healthy database
	// serves as many in a fraction of a second, so a longer queue means an outage.
	maxQueue = 8192
)

// A request is a call that waits to be served.
type request[A, R any] struct {
	arg    A
	result R
	err    error
	done   chan struct{}
	taken  atomic.Bool // by a batch, or by the caller, who gave up before
}

// A coalescer serves concurrent calls in batches.
type coalescer[A, R any] struct {
	queue   *batch.Queue[*request[A, R]]
	inline  bool // a call serves the next batch itself if it may be started
	timeout time.Duration
	metrics *metrics
}

// newCoalescer returns a coalescer. serve gets at most size requests and sets result
// or err of each.
func newCoalescer[A, R any](db *DB, size int, serve func(context.Context, []*request[A, R])) *coalescer[A, R] {
	c := &coalescer[A, R]{timeout: db.opts.roundtripTimeout(), metrics: db.metrics}
	c.queue = batch.New(size, maxQueue, func(ctx context.Context, all []*request[A, R]) {
		rs := all[:0]
		for _, r := range all {
			if r.taken.CompareAndSwap(false, true) {
				rs = append(rs, r)
			}
		}
		if len(rs) == 0 {
			return
		}
		// After the timeout no caller waits any more, however many roundtrips are left.
		ctx, cancel := context.WithTimeout(ctx, c.timeout)
		defer cancel()
		serve(ctx, rs)
		for _, r := range rs {
			close(r.done)
		}
	})
	return c
}

// call waits until arg is served. pending is true if the call has failed but arg may
// still be served. A call that serves a batch itself does not notice the end of ctx meanwhile.
func (c *coalescer[A, R]) call(ctx context.Context, arg A) (result R, pending bool, err error) {
	r := &request[A, R]{arg: arg, done: make(chan struct{})}
	if !c.add(ctx, r) {
		cause := causeStopped
		if c.queue.Len() >= maxQueue {
			cause = causeQueueFull
		}
		return result, false, c.fail(newFailure(cause, ""))
	}
	select {
	case <-r.done:
		return r.result, false, r.err
	default:
	}
	limit := time.NewTimer(c.timeout)
	defer limit.Stop()
	select {
	case <-r.done:
		return r.result, false, r.err
	case <-ctx.Done():
		// The request stays in the queue: what a client has sent is stored even if it hangs up.
		if ctx.Err() == context.DeadlineExceeded {
			return result, true, c.fail(newFailure(causeStalled, "", ctx.Err()))
		}
		return result, true, c.fail(newFailure(causeCallerGone, "", ctx.Err()))
	case <-limit.C:
		withdrawn := r.taken.CompareAndSwap(false, true)
		return result, !withdrawn, c.fail(newFailure(causeStalled, "", context.DeadlineExceeded))
	}
}

func (c *coalescer[A, R]) add(ctx context.Context, r *request[A, R]) bool {
	if c.inline {
		return c.queue.Do(ctx, r)
	}
	return c.queue.Add(r)
}

func (c *coalescer[A, R]) fail(f *failure) error {
	c.metrics.countFailure(f)
	return f
}

// failAll fails all requests with the same error.
func failAll[A, R any](rs []*request[A, R], err error) {
	for _, r := range rs {
		r.err = err
	}
}
