// Package rebalance evens out how many connections the replicas hold. Connections
// stay where they are when replicas are added. So the replicas tell each other,
// through package fleet, how many they hold, and one that holds far more than the
// mean slowly asks clients to reconnect. None does so during an outage or a drain.
package rebalance

import (
	"context"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/fleet"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
)

const (
	component = "Rebalance"
	// maxDelay is the longest delay that a client is told to wait before it reconnects.
	// Clients are asked one by one, so it can be short.
	maxDelay = time.Second
)

// Sockets are the open sockets of this replica.
type Sockets interface {
	// SignedIn returns the number of sockets of users. Those of strangers do not count: they
	// would make users move.
	SignedIn() int
	Draining() bool
	// Shed closes one socket that has nothing in flight, and reports whether there was one.
	Shed(c *frame.Close) bool
}

// Options configure a [Rebalancer].
type Options struct {
	// Rate is the most sockets closed per second; 0 closes none.
	Rate float64
	// Threshold is the fraction of the mean that a replica must be above the mean
	// before it closes sockets.
	Threshold float64
	// CheckReady checks whether every dependency can be used. Ready returns the result
	// of the last check.
	CheckReady func(context.Context) bool
	Ready      func() bool
}

// A Rebalancer shares the load of this replica and closes sockets when it is too
// high. Make one with [New] and call [Rebalancer.Run].
type Rebalancer struct {
	o         Options
	fleet     *fleet.Fleet
	sockets   Sockets
	log       *slog.Logger
	metrics   *metrics
	decider   decider
	lastShed  time.Time // when a socket was last closed
	shedSince time.Time // zero while it does not shed
	moved     int       // sockets closed since then

	paused atomic.Bool // a replica drains or has an outage; the next round decides anew

	mu    sync.Mutex
	loads map[event.ProcessID]received // by replica, this one included
}

// A received load is the last one of a replica.
type received struct {
	event.Load
	at time.Time
}

// New returns the rebalancer of a replica.
func New(o Options, f *fleet.Fleet, sockets Sockets, log *slog.Logger, reg prometheus.Registerer) *Rebalancer {
	r := &Rebalancer{
		o: o, fleet: f, sockets: sockets, log: log, metrics: newMetrics(reg),
		decider: decider{threshold: o.Threshold, rate: o.Rate}, loads: map[event.ProcessID]received{},
	}
	fleet.Handle(f, r.receive, nil) // a load that was missed is sent again
	return r
}

// Leave tells the other replicas that this one drains. Call it when the registry has
// stopped accepting sockets.
func (r *Rebalancer) Leave() { r.publish(event.Load{Sockets: r.sockets.SignedIn(), Draining: true}) }

// Run shares the load and closes sockets until ctx ends.
func (r *Rebalancer) Run(ctx context.Context) {
	tick := time.NewTicker(roundInterval)
	defer tick.Stop()
	next := time.NewTimer(0)
	defer next.Stop()
	quota := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			quota = r.round(ctx)
			next.Reset(0)
		case <-next.C:
			if quota <= 0 {
				continue // until the next round
			}
			if r.paused.Load() || r.sockets.Draining() || !r.o.Ready() {
				quota = 0
				continue
			}
			if wait := time.Until(r.lastShed.Add(r.shedInterval())); wait > 0 {
				next.Reset(wait)
				continue
			}
			r.shed()
			quota-- // even if no socket was idle, so that the search is no faster than the rate
			next.Reset(r.shedInterval())
		}
	}
}

func (r *Rebalancer) shedInterval() time.Duration {
	return time.Duration(float64(time.Second) / r.o.Rate)
}

func (r *Rebalancer) shed() {
	r.lastShed = time.Now()
	if r.sockets.Shed(&frame.Close{Code: frame.CodeRestart, Reason: "rebalance", After: mathrand.N(maxDelay)}) {
		r.metrics.shed.Inc()
		r.moved++
	}
}

// receive handles the load of a replica. It does not block.
func (r *Rebalancer) receive(sender event.ProcessID, l event.Load) {
	if l.Sockets < 0 {
		return
	}
	if l.Draining || !l.Ready && l.Sockets > 0 {
		r.paused.Store(true)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loads[sender] = received{l, time.Now()}
}

func (r *Rebalancer) publish(l event.Load) { r.fleet.Publish(l, nil) }

// round publishes the load of this replica, decides, and returns how many sockets may
// be closed until the next round.
func (r *Rebalancer) round(ctx context.Context) (quota int) {
	own := event.Load{Ready: r.o.CheckReady(ctx), Draining: r.sockets.Draining(), Sockets: r.sockets.SignedIn()}
	r.publish(own)
	r.paused.Store(false)
	now := time.Now()
	d := r.decider.decide(now, r.view(now, own))
	if r.o.Rate <= 0 && d.outcome == shed {
		d.outcome, d.shed = even, 0
	}
	r.metrics.rounds.WithLabelValues(string(d.outcome)).Inc()
	r.metrics.replicas.Set(float64(d.replicas))
	r.metrics.mean.Set(d.mean)
	r.logChange(now, own, d)
	return d.shed
}

// view returns what this replica knows. It forgets loads that have expired.
func (r *Rebalancer) view(now time.Time, own event.Load) view {
	r.mu.Lock()
	defer r.mu.Unlock()
	v := view{own: own, others: map[event.ProcessID]event.Load{}}
	for id, l := range r.loads {
		switch {
		case now.Sub(l.at) > maxAge:
			delete(r.loads, id)
		case id == r.fleet.ID():
			v.hearsSelf = true
		default:
			v.others[id] = l.Load
		}
	}
	return v
}

// logChange logs when shedding starts and when it stops.
func (r *Rebalancer) logChange(now time.Time, own event.Load, d decision) {
	attrs := []slog.Attr{
		slog.Int("sockets", own.Sockets), slog.Int("mean", int(d.mean+0.5)), slog.Int("replicas", d.replicas),
	}
	switch {
	case d.outcome == shed && r.shedSince.IsZero():
		r.shedSince, r.moved = now, 0
		logging.Component(r.log, slog.LevelInfo, component,
			fmt.Sprintf("Rebalancing started: far more connections than the mean; closing at most %g per second", r.o.Rate), attrs...)
	case d.outcome != shed && !r.shedSince.IsZero():
		attrs = append(attrs, slog.String("outcome", string(d.outcome)), slog.Int("moved", r.moved), slog.Duration("after", now.Sub(r.shedSince).Round(time.Second)))
		r.shedSince = time.Time{}
		logging.Component(r.log, slog.LevelInfo, component, "Rebalancing stopped: "+stopReasons[d.outcome], attrs...)
	}
}
