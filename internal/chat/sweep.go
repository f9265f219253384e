package chat

import (
	"context"
	"maps"
	"slices"
	"time"
)

const (
	sweepEvery = 10 * time.Second
	// sweepWindow is how far back a sweep looks beyond the last one: longer than a
	// message may be on its way.
	sweepWindow = 30 * time.Second
	// sweepMost is the longest time that is looked through at once. After a longer
	// outage every room asks for itself, in the store's batches.
	sweepMost    = 5 * time.Minute
	sweepTimeout = 5 * time.Second
)

// Run sweeps until ctx ends: every 10 s, and whenever there is a doubt, it finds
// the rooms whose newest message this replica has not delivered. No cursor can
// see that: the last message of a room leaves no hole behind it.
func (c *Chat) Run(ctx context.Context) {
	last := time.Now()
	for c.due(ctx) {
		if !c.up() {
			continue // when it is up again, every member is told that it has missed something
		}
		began := time.Now()
		if c.sweep(ctx, began.Sub(last)+sweepWindow) {
			last = began
		}
	}
}

// sweep looks through the last window, and reports whether it could.
func (c *Chat) sweep(ctx context.Context, window time.Duration) bool {
	if window > sweepMost {
		for _, s := range c.all() {
			s.missed(0)
		}
		c.metrics.sweeps.WithLabelValues("every_room").Inc()
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	tails, err := c.store.Tails(ctx, window)
	if err != nil {
		c.metrics.sweeps.WithLabelValues("failed").Inc()
		return false // the next one looks further back
	}
	c.metrics.sweeps.WithLabelValues("done").Inc()
	for id, seq := range tails {
		c.mu.Lock()
		list := slices.Clone(c.sockets[id])
		c.mu.Unlock()
		for _, s := range list {
			s.missed(seq)
		}
	}
	return true
}

func (c *Chat) all() []*Consumer {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []*Consumer
	for sockets := range maps.Values(c.sockets) {
		list = append(list, sockets...)
	}
	return list
}
