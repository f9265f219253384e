package chat

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	sweepInterval = 10 * time.Second
	sweepTimeout  = 5 * time.Second
	// minSweepInterval is the minimum time between two sweeps, however many are requested.
	minSweepInterval = 250 * time.Millisecond
	// sweepOverlap is how far a sweep looks back beyond the previous one. It is longer
	// than a message takes from its commit to its delivery.
	sweepOverlap = 30 * time.Second
	// maxSweepWindow is the longest window that one query covers. After a longer outage
	// every socket reads the store by itself, in the store's batches.
	maxSweepWindow = 5 * time.Minute
)

// Run sweeps until ctx ends: about every 10 s, and when a sweep is requested. A sweep
// finds the conversations whose newest message was not delivered on this replica.
// Cursors of sockets cannot find these: a lost last message leaves no hole. It also finds receipts
// that were lost.
func (c *Chat) Run(ctx context.Context) {
	last := time.Now()
	for c.waitForSweep(ctx) {
		if !c.layerUp() {
			continue // when it is up again, it calls missed for every socket
		}
		began := time.Now()
		if c.sweep(ctx, began.Sub(last)+sweepOverlap) {
			last = began
		}
	}
}

// requestSweep makes Run sweep now, because messages may have been lost that no
// cursor can miss. It does not block.
func (c *Chat) requestSweep() {
	select {
	case c.sweepNow <- struct{}{}:
	default:
	}
}

// waitForSweep waits until a sweep is requested, or for the interval with jitter, so
// that replicas do not sweep together. It returns false when ctx has ended.
func (c *Chat) waitForSweep(ctx context.Context) bool {
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
	case <-c.sweepNow:
	case <-timer.C:
	}
	return true
}

// sweep reads the newest sequence number of each conversation with messages in the last
// window, and starts a catch-up of the sockets that are behind it. If window exceeds
// maxSweepWindow, every socket catches up. It also repairs cursors. It returns false if a
// query failed.
func (c *Chat) sweep(ctx context.Context, window time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	if !c.repairMessages(ctx, window) || !c.repairCursors(ctx, window) {
		c.metrics.sweeps.WithLabelValues("failed").Inc()
		return false
	}
	outcome := "done"
	if window > maxSweepWindow {
		outcome = "every_room"
	}
	c.metrics.sweeps.WithLabelValues(outcome).Inc()
	return true
}

// repairMessages is the part of sweep that is about messages.
func (c *Chat) repairMessages(ctx context.Context, window time.Duration) bool {
	if window > maxSweepWindow {
		for _, s := range c.consumers() {
			s.catchUp(0)
		}
		return true
	}
	resets := c.resets.Load()
	tails, err := c.store.Tails(ctx, window)
	if err != nil {
		return false
	}
	if c.resets.Load() != resets {
		c.requestSweep() // the numbers may be those of the database before the reset
		return true
	}
	for id, seq := range tails {
		c.mu.Lock()
		list := slices.Clone(c.sockets[id])
		c.mu.Unlock()
		for _, s := range list {
			s.catchUp(seq)
		}
	}
	return true
}

func (c *Chat) consumers() []*Consumer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Concat(slices.Collect(maps.Values(c.sockets))...)
}
