// Package fleet owns the communication between replicas. Every replica joins one
// group of the channel layer, the control group. Other packages register the kinds
// of messages that they exchange there.
//
// The package also tracks the members. Each replica sends heartbeats to the control
// group and stores them in Postgres. Comparing the two finds replicas that share
// Postgres but not the channel layer. Comparing fingerprints of keys finds replicas
// that refuse each other's tokens. The package reports such findings and acts on none.
package fleet

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/room"
)

const component = "Replicas"

// group is the name of the control group in the channel layer.
const group = "control"

// Layer is the channel layer.
type Layer interface {
	// Join calls deliver for each payload of the group, and missed when payloads may
	// have been lost, until leave is called. It returns when the subscription is
	// confirmed.
	Join(ctx context.Context, group string, deliver func(payload []byte), missed func()) (leave func(), err error)
	// Publish never blocks. It calls done, if it is not nil, once: with nil when Redis
	// has the payload.
	Publish(group string, payload []byte, done func(error))
}

// Store holds the heartbeats of all replicas.
type Store interface {
	// Heartbeat stores the heartbeat of this replica, and returns those of the other
	// replicas that are younger than maxAge.
	Heartbeat(ctx context.Context, own room.Heartbeat, maxAge time.Duration) (others []room.Heartbeat, err error)
	// DeleteHeartbeat deletes the heartbeat of a replica.
	DeleteHeartbeat(ctx context.Context, id string) error
}

// A Fleet is all replicas as one of them sees them. Make one with [New], register
// kinds of messages with [Handle], then call [Fleet.Run]. The other methods may be
// called concurrently.
type Fleet struct {
	own      room.Heartbeat  // without the keys, which may change
	keys     func() []string // fingerprints; the first key signs
	layer    Layer
	store    Store
	log      *slog.Logger
	metrics  *metrics
	handlers map[string]handler // by kind; not changed while Run runs
	started  time.Time          // when Run was called; Run's own

	mu        sync.Mutex
	lastHeard map[string]time.Time // last message of each replica, by id
	heardSelf time.Time            // since when this replica hears itself; zero if it does not
	others    int                  // other replicas with a heartbeat in the store
	unheard   map[string]string    // names of those that should be heard and are not, by id
	strangers map[string]string    // names of those with other secrets, by id
}

// New returns the fleet as the named replica sees it. keys returns the fingerprints
// of its keys; it is called for each heartbeat.
func New(replica string, keys func() []string, layer Layer, store Store, log *slog.Logger, reg prometheus.Registerer) *Fleet {
	f := &Fleet{
		own: room.Heartbeat{ID: rand.Text()[:12], Replica: replica}, keys: keys,
		layer: layer, store: store, log: log, metrics: newMetrics(reg), handlers: map[string]handler{},
		lastHeard: map[string]time.Time{}, unheard: map[string]string{}, strangers: map[string]string{},
	}
	Handle(f, func(event.ProcessID, event.Heartbeat) {}, nil) // receive notes the sender of every message
	return f
}

// ID returns the id that this replica sends messages under.
func (f *Fleet) ID() string { return f.own.ID }

// Summary returns the number of other live replicas as text. It performs no I/O.
func (f *Fleet) Summary() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fmt.Sprintf("other live replicas: %d", f.others)
}

// Run receives messages and exchanges heartbeats until ctx ends. Call it once.
func (f *Fleet) Run(ctx context.Context) {
	f.started = time.Now()
	var running sync.WaitGroup
	running.Go(func() { f.listen(ctx) })
	running.Go(func() {
		repeat(ctx, heartbeatInterval, func() { f.Publish(event.Heartbeat{}, nil) })
	})
	repeat(ctx, storeInterval, func() { f.exchangeHeartbeats(ctx, time.Now()) })
	f.deleteHeartbeat(ctx)
	running.Wait()
}

// listen is a member of the control group until ctx ends. Join waits while Redis is
// down.
func (f *Fleet) listen(ctx context.Context) {
	leave, err := f.layer.Join(ctx, group, f.receive, f.missed)
	if err != nil {
		return // ctx has ended, or the layer has
	}
	defer leave()
	<-ctx.Done()
}

// repeat calls do at each interval until ctx ends.
func repeat(ctx context.Context, interval time.Duration, do func()) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do()
		}
	}
}
