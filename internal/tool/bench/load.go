package bench

import (
	"context"
	"sync"
	"time"
)

// stallLimit is how long a sender at maximum speed waits for the delivery of a
// message before it sends the next one.
const stallLimit = 5 * time.Second

// now returns the time since the run began.
func (r *run) now() time.Duration { return time.Since(r.began) }

// prewarm opens and closes some sockets, so that what a server allocates only once is
// not attributed to the measured sockets.
func (r *run) prewarm(ctx context.Context) {
	const count = 50
	var wg sync.WaitGroup
	for _, s := range r.sockets[:min(count, len(r.sockets))] {
		wg.Go(func() {
			if s.dial(ctx) == nil {
				r.readers.Go(s.read)
				s.close()
			}
		})
	}
	wg.Wait()
	r.readers.Wait()
	pause(ctx, 500*time.Millisecond) // until the server has released them
}

// dialAll opens all sockets, several at a time.
func (r *run) dialAll(ctx context.Context) {
	began := time.Now()
	forEach(r.sockets, r.o.Dialers, func(s *socket) {
		if ctx.Err() != nil {
			return
		}
		at, t := time.Now(), &r.totals
		if err := s.dial(ctx); err != nil {
			if ctx.Err() == nil {
				t.failed.Add(1)
				t.count(&t.failures, err.Error())
			}
			return
		}
		t.handshake.record(time.Since(at))
		t.opened.Add(1)
		t.dialling.Store(int64(time.Since(began)))
		r.readers.Go(s.read)
	})
}

// closeAll closes all sockets and waits until their readers have ended.
func (r *run) closeAll() {
	forEach(r.sockets, 64, func(s *socket) {
		if s.alive.Load() {
			s.close()
		}
	})
	r.readers.Wait()
}

// forEach calls f for every socket, in so many goroutines.
func forEach(sockets []*socket, goroutines int, f func(*socket)) {
	queue := make(chan *socket)
	var wg sync.WaitGroup
	for range min(goroutines, len(sockets)) {
		wg.Go(func() {
			for s := range queue {
				f(s)
			}
		})
	}
	for _, s := range sockets {
		queue <- s
	}
	close(queue)
	wg.Wait()
}

// beginWindow begins the measurement at the time from. It does not wait for the
// servers' usage, which is read in the background.
func (r *run) beginWindow(ctx context.Context, from time.Duration) {
	r.window.from.Store(int64(from))
	r.totals.phase.Store(phaseMeasuring)
	r.sampling.Go(func() { r.sampleServers(ctx, atOpen) })
}

// endWindow ends the measurement at the time to.
func (r *run) endWindow(ctx context.Context, to time.Duration) {
	r.window.to.Store(int64(to))
	r.sampling.Wait()
	r.sampleServers(context.WithoutCancel(ctx), atEnd)
}

// sendAtRate sends on a fixed schedule (an open loop). The latency of a message counts
// from its scheduled time, even where it is sent later.
func (r *run) sendAtRate(ctx context.Context) {
	start, i := r.now(), 0
	sendUntil := func(end time.Duration) {
		for ctx.Err() == nil {
			scheduled := start + time.Duration(float64(i)*float64(time.Second)/r.o.Rate)
			if scheduled >= end {
				return
			}
			if wait := scheduled - r.now(); wait > 0 {
				pause(ctx, wait)
				continue
			}
			r.senders[i%len(r.senders)].send(scheduled)
			i++
		}
	}
	r.totals.phase.Store(phaseWarming)
	from, to := start+r.o.Warm, start+r.o.Warm+r.o.For
	sendUntil(from)
	r.beginWindow(ctx, from)
	sendUntil(to)
	if ctx.Err() != nil {
		to = min(to, r.now())
	}
	r.endWindow(ctx, to)
}

// sendAtMax sends each sender's next message when its last one is delivered (a closed
// loop).
func (r *run) sendAtMax(ctx context.Context) {
	r.totals.phase.Store(phaseWarming)
	for _, s := range r.senders {
		s.send(r.now())
	}
	r.unblockStalled(ctx, r.o.Warm)
	r.beginWindow(ctx, r.now())
	r.unblockStalled(ctx, r.o.For)
	r.endWindow(ctx, r.now())
}

// sendNext continues the closed loop of a sender whose message all sockets have
// received.
func (r *run) sendNext(s *sender) {
	if p := r.totals.phase.Load(); r.o.Max && (p == phaseWarming || p == phaseMeasuring) {
		s.send(r.now())
	}
}

// unblockStalled waits for d. Meanwhile it continues senders whose message is not
// delivered within stallLimit.
func (r *run) unblockStalled(ctx context.Context, d time.Duration) {
	end := r.now() + d
	for ctx.Err() == nil && r.now() < end {
		pause(ctx, min(500*time.Millisecond, end-r.now()))
		for _, s := range r.senders {
			s.group.mu.Lock()
			stalled := s.inFlight >= 0 && r.now()-s.scheduled[s.inFlight] > stallLimit
			s.group.mu.Unlock()
			if stalled {
				r.totals.stalls.Add(1)
				s.send(r.now())
			}
		}
	}
}

// holdIdle holds the sockets open, after one message each where Touch is set.
func (r *run) holdIdle(ctx context.Context) {
	r.totals.phase.Store(phaseHolding)
	if r.o.Touch {
		for i, s := range r.sockets {
			if s.sender != nil {
				s.sender.send(r.now())
			}
			if i%200 == 199 {
				pause(ctx, 50*time.Millisecond) // a burst would measure the server's queues
			}
		}
		r.waitForDeliveries(ctx, r.o.Drain)
	}
	r.sampleServers(ctx, atOpen)
	r.window.from.Store(int64(r.now()))
	pause(ctx, r.o.For)
	r.endWindow(ctx, r.now())
}

// drain waits for late deliveries, up to one second where the run was interrupted.
func (r *run) drain(ctx context.Context) {
	r.totals.phase.Store(phaseDraining)
	limit := r.o.Drain
	if ctx.Err() != nil {
		limit = min(limit, time.Second)
	}
	r.waitForDeliveries(context.WithoutCancel(ctx), limit)
}

// waitForDeliveries returns when every message is delivered, nothing has arrived for a
// third of the limit, or the limit is reached.
func (r *run) waitForDeliveries(ctx context.Context, limit time.Duration) {
	quiet := limit / 3
	end, last, lastAt := r.now()+limit, deliveries{}, r.now()
	for ctx.Err() == nil && r.now() < end {
		d := r.countDeliveries()
		if d.lost == 0 && d.unanswered == 0 {
			return
		}
		if d != last {
			last, lastAt = d, r.now()
		} else if r.now()-lastAt > quiet {
			return
		}
		pause(ctx, 50*time.Millisecond)
	}
	r.totals.late.Store(r.now()-lastAt < quiet) // messages were still arriving: they are late, not lost
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
