package session

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
)

const (
	// drainTick is the interval at which a drain ends sessions: of 20,000 sockets in 20 s,
	// 50 at a time.
	drainTick = 50 * time.Millisecond
	// closeReserve is the part of the drain time that is kept for the peers' Closes after
	// the last session was asked to leave, with some time for a busy machine.
	closeReserve = closeWait + 500*time.Millisecond
	// jitter is the maximum reconnect delay. It spreads the clients of one tick.
	jitter = time.Second
	// minSpread is the minimum time over which clients reconnect, if the drain time
	// allows: the delays are longer if the drain is shorter.
	minSpread = 5 * time.Second
)

var errDrainTimeout = errors.New("drain timeout")

// StopAccepting makes [Registry.Reserve] refuse every further handshake.
func (r *Registry) StopAccepting() { r.draining.Store(true) }

// Drain closes all sessions with 1012 restart. It spreads them evenly over the time over,
// less a reserve for the last Closes, and gives each client a random reconnect delay, so that
// other replicas see a steady load. It blocks until all sessions have ended and the work
// under the registry's context has stopped. Sessions that are left when the time or ctx ends
// are cut.
func (r *Registry) Drain(ctx context.Context, over time.Duration) {
	r.StopAccepting()
	ctx, cancel := context.WithTimeoutCause(ctx, over, errDrainTimeout)
	defer cancel()
	began, pace, maxDelay := time.Now(), drainPace(over), MaxReconnectDelay(over)
	tick := time.NewTicker(drainTick)
	defer tick.Stop()
	due := 0.0               // sessions to end in this tick; the fraction is carried over
	for r.count.Load() > 0 { // the count includes handshakes that become sessions later
		open := r.openSessions()
		ticks := max(1, int((pace-time.Since(began))/drainTick))
		due = min(due+float64(len(open))/float64(ticks), float64(len(open)))
		for _, s := range open[:int(due)] {
			s.End(&frame.Close{Code: frame.CodeRestart, Reason: "restart", After: rand.N(maxDelay + 1)})
			due--
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			for _, s := range r.all(nil) {
				s.cut("server", context.Cause(ctx))
			}
			r.cancel() // a stalled store must not delay the shutdown
			<-tick.C
		}
	}
	r.running.Wait()
}

// drainPace returns the time over which a drain asks sessions to leave.
func drainPace(over time.Duration) time.Duration { return max(over-closeReserve, over/2) }

// MaxReconnectDelay returns the longest reconnect delay that a drain over such a time gives.
func MaxReconnectDelay(over time.Duration) time.Duration {
	return max(jitter, min(over, minSpread)-drainPace(over))
}

// openSessions returns the sessions that are not ending.
func (r *Registry) openSessions() []*Session {
	return slices.DeleteFunc(r.all(nil), func(s *Session) bool { return s.ending() != nil })
}
