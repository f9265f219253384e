package session

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
)

const (
	// drainTick is how often a drain asks who is next: of 20,000 sockets in 20 s, 50
	// at a time.
	drainTick = 50 * time.Millisecond
	// farewell is what is kept of the drain time for those who are asked last:
	// [closeWait] for the peer's Close, and a moment for a machine that is busy.
	farewell = closeWait + 500*time.Millisecond
	// jitter is the delay, at most, that a client is told to keep. It parts those who
	// were asked in one tick.
	jitter = time.Second
	// spread is the time over which clients come back at least, as far as the drain
	// time allows: where the drain itself is shorter, the delays are longer.
	spread = 5 * time.Second
)

var errTimeOver = errors.New("the drain time is over")

// StopAccepting makes every further handshake be refused.
func (r *Registry) StopAccepting() { r.draining.Store(true) }

// Drain asks the clients to go elsewhere (1012 restart) one after the other, evenly
// over the time that it is given, so that they come back elsewhere as evenly; only
// the end of that time is kept for the last ones' Closes. Each is told a delay of
// its own. It returns when all sockets are closed. Those that are left when the
// time is over, or when ctx ends, are cut. What runs under the registry's context
// has ended when it returns.
func (r *Registry) Drain(ctx context.Context, over time.Duration) {
	r.StopAccepting()
	ctx, cancel := context.WithTimeoutCause(ctx, over, errTimeOver)
	defer cancel()
	began, pace := time.Now(), max(over-farewell, over/2)
	delay := max(jitter, min(over, spread)-pace)
	tick := time.NewTicker(drainTick)
	defer tick.Stop()
	due := 0.0               // sockets whose turn has come
	for r.count.Load() > 0 { // again and again: a handshake may be under way
		staying := r.staying()
		left := max(1, int((pace-time.Since(began))/drainTick))
		due = min(due+float64(len(staying))/float64(left), float64(len(staying)))
		for _, s := range staying[:int(due)] {
			s.End(&frame.Close{Code: frame.CodeRestart, Reason: "restart", After: rand.N(delay + 1)})
			due--
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			for _, s := range r.all() {
				s.cut("server", context.Cause(ctx))
			}
			r.abandon() // a store that has stalled must not hold up the end
			<-tick.C
		}
	}
	r.running.Wait()
}

// staying returns the sessions that nobody has ended yet.
func (r *Registry) staying() []*Session {
	all := r.all()
	list := all[:0]
	for _, s := range all {
		if s.ending() == nil {
			list = append(list, s)
		}
	}
	return list
}
