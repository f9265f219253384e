package inbox

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	sweepInterval = 10 * time.Second
	sweepTimeout  = 5 * time.Second
	// minSweepInterval is the minimum time between two sweeps, however many are requested.
	minSweepInterval = 250 * time.Millisecond
	// sweepOverlap is how far a sweep looks back beyond the previous one. It is longer than
	// a change takes from its commit to its delivery.
	sweepOverlap = 30 * time.Second
	// maxSweepWindow is the longest window that one query covers. After a longer outage
	// every socket reads all its conversations again.
	maxSweepWindow = 5 * time.Minute
)

// Run sweeps until ctx ends: about every 10 s, and when a sweep is requested. A sweep finds
// the changes that the channel layer has lost.
func (i *Inbox) Run(ctx context.Context) {
	last := time.Now()
	for i.waitForSweep(ctx) {
		if _, err := i.layer.Health(); err != nil {
			continue // when it is up again, it calls missed for every socket
		}
		began := time.Now()
		if i.sweep(ctx, began.Sub(last)+sweepOverlap) {
			last = began
		}
	}
}

// requestSweep makes Run sweep soon. It does not block.
func (i *Inbox) requestSweep() {
	select {
	case i.sweepNow <- struct{}{}:
	default:
	}
}

// waitForSweep waits until a sweep is requested, or for the interval with jitter. It returns
// false when ctx has ended.
func (i *Inbox) waitForSweep(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(minSweepInterval):
	}
	timer := time.NewTimer(sweepInterval/2 + rand.N(sweepInterval) - minSweepInterval)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-i.sweepNow:
	case <-timer.C:
	}
	return true
}

// sweep compares the changes of the last window with what the sockets know. It returns false
// if the query failed. It also shows who is online where a block was lifted.
func (i *Inbox) sweep(ctx context.Context, window time.Duration) bool {
	sockets := i.all()
	if len(sockets) == 0 {
		return true
	}
	for _, s := range sockets {
		s.change((*list).showAllPresence)
	}
	if window > maxSweepWindow {
		for _, s := range sockets {
			s.reload(false)
		}
		i.metrics.sweeps.WithLabelValues("all").Inc()
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	resets := i.resets.Load()
	changed, erased, err := i.store.Changes(ctx, window)
	if err != nil {
		i.metrics.sweeps.WithLabelValues("failed").Inc()
		return false
	}
	i.metrics.sweeps.WithLabelValues("done").Inc()
	if i.resets.Load() != resets {
		i.requestSweep() // the numbers may be those of the database before the reset
		return true
	}
	for n := range changed {
		c := &changed[n]
		for _, s := range append(i.of(c.Room.Customer), i.of(c.Room.Therapist)...) {
			s.change(func(l *list) { l.catchUp(c) })
		}
	}
	for _, user := range erased {
		for _, s := range sockets {
			s.change(func(l *list) { l.recount(user) })
		}
	}
	return true
}
