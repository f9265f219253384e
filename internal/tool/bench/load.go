package bench

import (
	"context"
	"sync"
	"time"
)

// stallLimit is how long a closed loop waits for a message before it sends the
// next one all the same.
const stallLimit = 5 * time.Second

// now is the time since the run began.
func (r *run) now() time.Duration { return time.Since(r.began) }

// prewarm opens and closes some sockets, so that what a server allocates once is
// not counted for the sockets that are measured.
func (r *run) prewarm(ctx context.Context) {
	const some = 50
	list := r.sockets[:min(some, len(r.sockets))]
	var wg sync.WaitGroup
	for _, s := range list {
		wg.Go(func() {
			if s.dial(ctx) == nil {
				r.readers.Go(s.read)
				s.bye()
			}
		})
	}
	wg.Wait()
	r.readers.Wait()
	pause(ctx, 500*time.Millisecond) // for the server to forget them
}

// dialAll opens all sockets, so many at once.
func (r *run) dialAll(ctx context.Context) {
	began := time.Now()
	todo := make(chan *socket)
	var wg sync.WaitGroup
	for range min(r.o.Dialers, len(r.sockets)) {
		wg.Go(func() {
			for s := range todo {
				at := time.Now()
				if err := s.dial(ctx); err != nil {
					if ctx.Err() == nil {
						r.tally.failed.Add(1)
						r.tally.fail(err.Error())
					}
					continue
				}
				r.tally.handshake.record(time.Since(at))
				r.tally.opened.Add(1)
				r.tally.dialling.Store(int64(time.Since(began)))
				r.readers.Go(s.read)
			}
		})
	}
	for _, s := range r.sockets {
		if ctx.Err() != nil {
			break
		}
		todo <- s
	}
	close(todo)
	wg.Wait()
}

// begin begins to measure what is due from a time on. The schedule does not wait
// while replicas are looked at.
func (r *run) begin(ctx context.Context, from time.Duration) {
	r.window.from.Store(int64(from))
	r.tally.phase.Store(phaseMeasuring)
	r.watch.looking.Go(func() { r.watch.snap(ctx, open) })
}

// shut ends the measuring: what is due from here on does not count.
func (r *run) shut(ctx context.Context, to time.Duration) {
	r.window.to.Store(int64(to))
	r.watch.looking.Wait()
	r.watch.snap(context.WithoutCancel(ctx), after)
}

// openLoop sends by a schedule that is fixed beforehand. A message that is sent
// late has been due in time, and its latency counts from there.
func (r *run) openLoop(ctx context.Context) {
	start, i := r.now(), 0
	until := func(end time.Duration) {
		for ctx.Err() == nil {
			due := start + time.Duration(float64(i)*float64(time.Second)/r.o.Rate)
			if due >= end {
				return
			}
			if wait := due - r.now(); wait > 0 {
				pause(ctx, wait)
				continue
			}
			r.senders[i%len(r.senders)].send(due)
			i++
		}
	}
	r.tally.phase.Store(phaseWarming)
	from, to := start+r.o.Warm, start+r.o.Warm+r.o.For
	until(from)
	r.begin(ctx, from)
	until(to)
	if ctx.Err() != nil {
		to = min(to, r.now())
	}
	r.shut(ctx, to)
}

// closedLoop sends as fast as messages are delivered.
func (r *run) closedLoop(ctx context.Context) {
	r.tally.phase.Store(phaseWarming)
	for _, s := range r.senders {
		s.send(r.now())
	}
	r.loop(ctx, r.o.Warm)
	r.begin(ctx, r.now())
	r.loop(ctx, r.o.For)
	r.shut(ctx, r.now())
	r.tally.phase.Store(phaseDraining)
}

// loop waits, and frees senders whose message does not arrive.
func (r *run) loop(ctx context.Context, d time.Duration) {
	end := r.now() + d
	for ctx.Err() == nil && r.now() < end {
		pause(ctx, min(500*time.Millisecond, end-r.now()))
		for _, s := range r.senders {
			s.group.mu.Lock()
			stuck := s.flight >= 0 && r.now()-s.due[s.flight] > stallLimit
			s.group.mu.Unlock()
			if stuck {
				r.tally.stalls.Add(1)
				s.send(r.now())
			}
		}
	}
}

// complete is called when all sockets of a room have got a message.
func (r *run) complete(s *sender) {
	if p := r.tally.phase.Load(); r.o.Max && (p == phaseWarming || p == phaseMeasuring) {
		s.send(r.now())
	}
}

// hold keeps the sockets open and does nothing.
func (r *run) hold(ctx context.Context) {
	r.tally.phase.Store(phaseHolding)
	if r.o.Touch {
		for i, s := range r.sockets {
			if s.sender != nil {
				s.sender.send(r.now())
			}
			if i%200 == 199 {
				pause(ctx, 50*time.Millisecond) // a burst would measure its own queues
			}
		}
		r.settle(ctx, r.o.Drain)
	}
	r.watch.snap(ctx, open)
	r.window.from.Store(int64(r.now()))
	pause(ctx, r.o.For)
	r.shut(ctx, r.now())
}

// drain waits for what is still under way; not for long where the user waits too.
func (r *run) drain(ctx context.Context) {
	r.tally.phase.Store(phaseDraining)
	limit := r.o.Drain
	if ctx.Err() != nil {
		limit = min(limit, time.Second)
	}
	r.settle(context.WithoutCancel(ctx), limit)
}

// settle waits until nothing is owed, nothing has come for a while, or the limit
// is over.
func (r *run) settle(ctx context.Context, limit time.Duration) {
	const quiet = 3 * time.Second
	end, last, lastAt := r.now()+limit, verdict{}, r.now()
	for ctx.Err() == nil && r.now() < end {
		v := r.judge()
		if v.lost == 0 && v.unanswered == 0 {
			return
		}
		if v != last {
			last, lastAt = v, r.now()
		} else if r.now()-lastAt > quiet {
			return
		}
		pause(ctx, 50*time.Millisecond)
	}
	r.tally.late.Store(r.now()-lastAt < quiet) // it was still coming: late is not lost
}

func (r *run) judge() (v verdict) {
	for _, g := range r.groups {
		v.add(g.judge())
	}
	return v
}

// hangUp closes all sockets.
func (r *run) hangUp() {
	r.tally.phase.Store(phaseDone)
	var wg sync.WaitGroup
	todo := make(chan *socket)
	for range 64 {
		wg.Go(func() {
			for s := range todo {
				s.bye()
			}
		})
	}
	for _, s := range r.sockets {
		if s.alive.Load() {
			todo <- s
		}
	}
	close(todo)
	wg.Wait()
	r.readers.Wait()
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
