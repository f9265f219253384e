// Package presence knows which users are online: those who have a socket on any replica.
//
// Redis keeps one entry for each user. It lists the replicas that hold sockets of the user, and
// until when each of them counts. Each replica renews what it holds, so a replica that is
// killed leaves nothing to clean up. Changes are also told to all replicas at once. Such an
// event may be lost, so every replica also reads the entries of the users that its sockets
// watch.
//
// Presence is a hint. While Redis is away all states stay as they are.
package presence

import (
	"cmp"
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/fleet"
	"github.com/roomspa/roomspa/internal/room"
)

// Store holds the entries of users. The errors of its methods wrap [room.ErrUnavailable].
type Store interface {
	// Load returns the entries of users. A user without a readable entry is left out.
	Load(ctx context.Context, users []room.UserID) (map[room.UserID]event.Online, error)
	// Save stores entries.
	Save(ctx context.Context, entries map[room.UserID]event.Online) error
}

// Options configure a [Registry]. The zero value of a duration means its default.
type Options struct {
	// Off makes the registry know only who has an inbox open, and [Registry.Enabled] false.
	Off bool
	// Grace is how long a user counts as online after the last socket. It covers the longest
	// delay after which a rebalanced client reconnects, which is 1 s. Default: 11 s.
	Grace time.Duration
	// Life is how long an entry of a replica counts if it is not renewed. Default: 60 s.
	Life time.Duration
	// Renew is the minimum time between two renewals. Default: 20 s.
	Renew time.Duration
	// Poll is the time in which the entries of all watched users are read. Default: 10 s.
	Poll time.Duration
	// Cycle is the time after which a new entry is verified, and between two attempts to
	// write. Default: 5 s.
	Cycle time.Duration
	// Tick is the time between two looks at what is due. Default: 1 s.
	Tick time.Duration
	// Announce is the minimum time between two events to all replicas. Default: 250 ms.
	Announce time.Duration
}

// A State is the presence of one user. The zero value is that of a user of whom nothing is
// known.
type State struct {
	Online   bool
	Inbox    bool      // the user has an inbox socket open, on any replica
	LastSeen time.Time // UTC, rounded down to minutes; zero if unknown
}

// A Registry knows the presence of the users that sockets of this replica belong to or watch.
// Make one with [New], and run [Registry.Run]. Its methods may be called concurrently, and do
// not block, except for [Registry.Wait].
type Registry struct {
	o       Options
	own     event.ProcessID
	publish func(event.Presence)
	store   Store
	metrics *metrics
	phase   time.Duration // shifts the cycles, so that replicas do not write together
	wake    chan struct{} // holds a value if queue is not empty
	tell    chan struct{} // holds a value if pending is not empty

	mu       sync.Mutex
	users    map[room.UserID]*user
	queue    map[room.UserID]struct{}           // users to read now
	pending  map[room.UserID]event.UserPresence // to be announced
	draining bool
	delay    time.Duration // of Drain
	failed   bool          // the last use of the store failed
	trusted  time.Time     // before it nobody expires, because others may not have renewed yet
	doubted  bool          // all entries are to be read
	doubtAt  time.Time     // not before this
	round    []room.UserID // watched users that are still to be read in this round
	chunk    int           // users of the round in one tick
	roundAt  time.Time     // of the next round
}

// New returns the registry of a replica. Call it before [fleet.Fleet.Run].
func New(o Options, f *fleet.Fleet, store Store, reg prometheus.Registerer) *Registry {
	o.Grace = cmp.Or(o.Grace, 11*time.Second)
	o.Life = cmp.Or(o.Life, time.Minute)
	o.Renew = cmp.Or(o.Renew, 20*time.Second)
	o.Poll = cmp.Or(o.Poll, 10*time.Second)
	o.Cycle = cmp.Or(o.Cycle, 5*time.Second)
	o.Tick = cmp.Or(o.Tick, time.Second)
	o.Announce = cmp.Or(o.Announce, 250*time.Millisecond)
	r := &Registry{
		o: o, own: f.ID(), store: store, metrics: newMetrics(reg), phase: rand.N(o.Cycle),
		wake: make(chan struct{}, 1), tell: make(chan struct{}, 1),
		publish: func(p event.Presence) { f.Publish(p, nil) },
		users:   map[room.UserID]*user{}, queue: map[room.UserID]struct{}{}, pending: map[room.UserID]event.UserPresence{},
	}
	fleet.Handle(f, func(sender event.ProcessID, p event.Presence) {
		if sender != r.own {
			r.hear(p, time.Now())
		}
	}, r.doubt)
	return r
}

// Enabled reports whether clients are told who is online.
func (r *Registry) Enabled() bool { return !r.o.Off }

// Open notes that a user has a socket on this replica, or an inbox socket. The socket counts
// until closed is called, and for the grace after that. A second call of closed does nothing.
func (r *Registry) Open(id room.UserID, inbox bool) (closed func()) {
	if r.o.Off && !inbox {
		return func() {}
	}
	r.opened(id, inbox)
	return sync.OnceFunc(func() { r.closed(id, inbox) })
}

// Watch returns what is known of a user now, and calls changed with each later state. The
// state of a user of whom nothing is known yet is read soon. Calls of changed end with stop.
// They are made under a lock, in order: changed must not block, nor call the registry. A
// second call of stop does nothing.
func (r *Registry) Watch(id room.UserID, changed func(State)) (now State, stop func()) {
	w := &watcher{changed}
	return r.watch(id, w), sync.OnceFunc(func() { r.unwatch(id, w) })
}

// Wait returns the state of a watched user when it has been read, or what is known when ctx
// ends.
func (r *Registry) Wait(ctx context.Context, id room.UserID) State {
	r.mu.Lock()
	u := r.users[id]
	r.mu.Unlock()
	if u == nil {
		return State{}
	}
	select {
	case <-u.known:
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return u.state
}

// Drain says that this replica is about to stop. From now on, a user whose last socket closes
// counts as online for the delay, which is the longest that clients are told to wait before
// they reconnect, and for the grace. No replica is told that the user went offline.
func (r *Registry) Drain(delay time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.draining, r.delay = true, delay
}
