package postgres

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/roomspa/roomspa/internal/batch"
)

const (
	// mostReads is how many coalesced reads become one query.
	mostReads = 500
	// mostWaiting is how many calls of one kind may wait. A queue that long takes
	// a healthy database a fraction of a second; one behind it is away.
	mostWaiting = 8192
)

// A request is what one caller asks of a gatherer.
type request[Q, A any] struct {
	ask    Q
	answer A
	err    error
	done   chan struct{}
	taken  atomic.Bool // by a batch; or by the caller, who gave up before that
}

// A gatherer makes one trip to the database out of calls that come at once.
type gatherer[Q, A any] struct {
	queue  *batch.Queue[*request[Q, A]]
	bound  time.Duration
	failed func(*failure)
}

// newGatherer returns a gatherer whose serve answers at most most requests at a
// time, by setting answer or err of each.
func newGatherer[Q, A any](db *DB, most int, serve func(context.Context, []*request[Q, A])) *gatherer[Q, A] {
	g := &gatherer[Q, A]{bound: db.opts.bound(), failed: db.metrics.failed}
	g.queue = batch.New(most, mostWaiting, func(ctx context.Context, all []*request[Q, A]) {
		rs := all[:0]
		for _, r := range all {
			if r.taken.CompareAndSwap(false, true) {
				rs = append(rs, r)
			}
		}
		if len(rs) == 0 {
			return
		}
		// Whoever asked is gone after that, however many trips serve still has to make.
		ctx, cancel := context.WithTimeout(ctx, g.bound)
		defer cancel()
		serve(ctx, rs)
		for _, r := range rs {
			close(r.done)
		}
	})
	return g
}

func (g *gatherer[Q, A]) run(ctx context.Context) { g.queue.Run(ctx) }

// ask hands q in and waits for the answer. left says that the caller was not
// served in time, but that the database may still see q.
func (g *gatherer[Q, A]) ask(ctx context.Context, q Q) (answer A, left bool, err error) {
	r := &request[Q, A]{ask: q, done: make(chan struct{})}
	if !g.queue.Add(r) {
		return answer, false, g.fail(g.refusal())
	}
	limit := time.NewTimer(g.bound)
	defer limit.Stop()
	select {
	case <-r.done:
		return r.answer, false, r.err
	case <-ctx.Done():
		// It stays in the queue: somebody who sends and hangs up has sent.
		return answer, true, g.fail(ended(ctx))
	case <-limit.C:
		withdrawn := r.taken.CompareAndSwap(false, true)
		return answer, !withdrawn, g.fail(unavailable(causeStalled, "", context.DeadlineExceeded))
	}
}

func (g *gatherer[Q, A]) refusal() *failure {
	if g.queue.Len() >= mostWaiting {
		return unavailable(causeQueueFull, "")
	}
	return unavailable(causeStopped, "")
}

func (g *gatherer[Q, A]) fail(f *failure) error {
	g.failed(f)
	return f
}

// ended says why a caller's context did.
func ended(ctx context.Context) *failure {
	if ctx.Err() == context.DeadlineExceeded {
		return unavailable(causeStalled, "", ctx.Err())
	}
	return unavailable(causeCallerGone, "", ctx.Err())
}

// failAll gives all of them the same error.
func failAll[Q, A any](rs []*request[Q, A], err error) {
	for _, r := range rs {
		r.err = err
	}
}
