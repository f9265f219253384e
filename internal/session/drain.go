package session

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
)

// StopAccepting makes every further handshake be refused.
func (r *Registry) StopAccepting() { r.draining.Store(true) }

// Drain asks every client to go elsewhere (1012 restart), each with a delay of
// its own of up to spread, so that they do not come back as one wave, and returns
// when all sockets are closed or ctx ends; then those that are left are cut. What
// runs under the registry's context has ended when it returns.
func (r *Registry) Drain(ctx context.Context, spread time.Duration) {
	r.StopAccepting()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for r.count.Load() > 0 { // again and again: a handshake may be under way
		for _, s := range r.all() {
			s.End(&frame.Close{
				Code: frame.CodeRestart, Reason: "restart",
				After: time.Duration(rand.Int64N(int64(spread) + 1)),
			})
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			for _, s := range r.all() {
				s.cut("server", context.Cause(ctx))
			}
			<-tick.C
		}
	}
	r.running.Wait()
}
