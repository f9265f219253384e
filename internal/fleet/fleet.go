// Package fleet owns the communication between replicas. Every replica joins one
// group of the channel layer, the control group. Other packages register the kinds
// of events that they exchange there.
//
// The package also tracks the members. Each replica sends heartbeats to the control
// group and stores them in Postgres. Comparing the two finds replicas that share
// Postgres but not the channel layer, or the channel layer but not Postgres. Comparing fingerprints of keys finds replicas
// that refuse each other's tokens. Heartbeats also tell the options, the version and the clock of a
// replica, and a replica whose heartbeats cease is missed. The package reports such findings and
// acts on none.
//
// With each stored heartbeat a replica also reads the identity of its deployment, and
// passes it on to the channel layer, with whether all replicas can use sharded Pub/Sub.
package fleet

import (
	"context"
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
	// Join calls deliver for each event of the group, and missed when events may have
	// been lost, until leave is called. It returns when the subscription is confirmed.
	Join(ctx context.Context, group string, deliver func(event.Event), missed func(reset bool)) (leave func(), err error)
	// Publish never blocks. It calls done, if it is not nil, once: with nil when Redis
	// has the event.
	Publish(group string, body event.Body, done func(error))
	// Use sets the deployment that the layer belongs to. It is down before.
	Use(d event.Deployment)
	// CanShard returns nil if this replica can use sharded Pub/Sub, or why it cannot.
	CanShard(ctx context.Context) error
	// UseSharded says whether sharded Pub/Sub is to be used: nil if every live replica can, or
	// why not.
	UseSharded(refusal error)
	// ExchangeDeployments announces the deployment, and returns the ids of other ones that
	// use the same Redis and prefix.
	ExchangeDeployments() (others []string)
}

// Store holds the heartbeats of all replicas.
type Store interface {
	// Heartbeat stores the heartbeat of this replica, and returns the identity of the
	// deployment and the heartbeats of the other replicas that are younger than maxAge.
	Heartbeat(ctx context.Context, own room.Heartbeat, maxAge time.Duration) (d event.Deployment, others []room.Heartbeat, err error)
	// RestoreSuspected returns a channel that receives a value when a heartbeat may find that
	// the database was restored.
	RestoreSuspected() <-chan struct{}
	// DeleteHeartbeat deletes the heartbeat of a replica.
	DeleteHeartbeat(ctx context.Context, id string) error
}

// A Fleet is all replicas as one of them sees them. Make one with [New], register
// kinds of events with [Handle], then call [Fleet.Run]. The other methods may be
// called concurrently.
type Fleet struct {
	id       event.ProcessID
	own      room.Heartbeat  // without the keys, which may change
	database string          // the address of Postgres
	keys     func() []string // fingerprints; the first key signs
	layer    Layer
	store    Store
	log      *slog.Logger
	metrics  metrics
	handlers map[event.Kind]handler // not changed while Run runs
	started  time.Time              // when Run was called; Run's own

	mu        sync.Mutex
	lastHeard map[event.ProcessID]time.Time // last event of each replica
	counters  map[source]uint64             // of the last event
	peers     map[event.ProcessID]*peer     // what each replica says of itself
	heardSelf time.Time                     // since when this replica hears itself; zero if it does not
	others    []room.Heartbeat              // in the store, of other replicas
	compared  time.Time                     // when others was read
	found     found                         // what is wrong between them
	current   event.Deployment              // only for exchangeHeartbeats
	failure   error                         // of the last heartbeat; nil if it was stored
	storing   time.Time                     // since when each heartbeat was stored; zero if the last one was not
}

// A source is a replica and a kind of event. Its events arrive in the order of their counters.
type source struct {
	sender event.ProcessID
	kind   event.Kind
}

// New returns the fleet as the named replica sees it. id is the one that the layer seals
// events under. keys returns the fingerprints of its keys; it is called for each heartbeat.
func New(replica string, id event.ProcessID, keys func() []string, layer Layer, store Store, log *slog.Logger, reg prometheus.Registerer) *Fleet {
	f := &Fleet{
		id: id, own: room.Heartbeat{ID: id.String(), Replica: replica}, keys: keys,
		layer: layer, store: store, log: log, metrics: newMetrics(reg), handlers: map[event.Kind]handler{},
		lastHeard: map[event.ProcessID]time.Time{}, counters: map[source]uint64{}, found: found{},
		peers: map[event.ProcessID]*peer{},
	}
	Handle(f, f.meet, nil)
	return f
}

// Describe sets what heartbeats say of this replica: the version of roomspa, the address of Postgres
// without secrets, and the options that must be equal on all replicas, by name, without secrets. Call
// it before [Fleet.Run].
func (f *Fleet) Describe(version, database string, settings map[string]string) {
	f.own.Version, f.own.Settings, f.database = version, settings, database
}

// ID returns the id that this replica sends events under.
func (f *Fleet) ID() event.ProcessID { return f.id }

// Summary returns the number of other live replicas as text. It performs no I/O.
func (f *Fleet) Summary() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	live := 0
	for i := range f.others {
		if f.others[i].Age <= maxAge {
			live++
		}
	}
	return fmt.Sprintf("other live replicas: %d", live)
}

// Run receives events and exchanges heartbeats until ctx ends. Call it once.
func (f *Fleet) Run(ctx context.Context) {
	f.started = time.Now()
	var running sync.WaitGroup
	running.Go(func() { f.listen(ctx) })
	running.Go(func() {
		repeat(ctx, heartbeatInterval, func() { f.Publish(f.heartbeat(), nil) })
	})
	f.storeHeartbeats(ctx)
	f.deleteHeartbeat(ctx)
	running.Wait()
}

// storeHeartbeats exchanges heartbeats with the store until ctx ends: at each interval, soon
// again after a failure, and when the database may have been restored.
func (f *Fleet) storeHeartbeats(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-f.store.RestoreSuspected():
			if !wait(ctx, suspicionDelay) {
				return
			}
		}
		if f.exchangeHeartbeats(ctx, time.Now()) {
			timer.Reset(storeInterval)
		} else {
			timer.Reset(storeRetry)
		}
	}
}

// wait returns after d, or false if ctx ends before.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
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
