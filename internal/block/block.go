// Package block knows which users have blocked each other, for the rooms of the sockets that
// are open on this replica. Postgres has the blocks. A replica that changes one tells the others
// through package fleet; a periodic look at what has changed finds those whose event was lost.
package block

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/fleet"
	"github.com/roomspa/roomspa/internal/room"
)

const component = "Blocks"

// Store has the blocks.
type Store interface {
	// Blocks returns the blocks in each of the rooms, also where there are none.
	Blocks(ctx context.Context, rooms []room.Room) (map[room.Room]room.Blocks, error)
	// ChangedBlocks returns the blocks that were set or lifted within the last since.
	ChangedBlocks(ctx context.Context, since time.Duration) ([]room.Block, error)
	// SetBlock sets or lifts a block and reports whether that was a change. It returns
	// [room.ErrNotFound] if the room has no conversation.
	SetBlock(ctx context.Context, b room.Block, in room.Room, active bool) (changed bool, err error)
}

// A Registry holds the blocks of the rooms that are watched on this replica. Make one with
// [New] and call [Registry.Run]. Its other methods may be called concurrently.
type Registry struct {
	publish  func(body event.Body, done func(error))
	store    Store
	interval time.Duration // between two looks at what has changed
	log      *slog.Logger
	metrics  *metrics
	wake     chan struct{} // something is outdated

	mu       sync.Mutex
	pairs    map[room.Room]*Pair
	outdated map[*Pair]struct{} // that are to be loaded again
	all      bool               // all of them are
	loads    uint64             // loads that have begun
}

// New returns the registry of a replica. It looks for changes at each interval, 10 s if that is
// 0, even if no event was lost.
func New(f *fleet.Fleet, store Store, interval time.Duration, log *slog.Logger, reg prometheus.Registerer) *Registry {
	r := newRegistry(f.Publish, store, interval, log, reg)
	fleet.Handle(f, func(_ event.ProcessID, e event.Block) {
		r.outdate(room.Block{Blocker: e.Blocker, Blocked: e.Blocked})
	}, r.outdateAll)
	return r
}

func newRegistry(publish func(event.Body, func(error)), store Store, interval time.Duration, log *slog.Logger, reg prometheus.Registerer) *Registry {
	if interval == 0 {
		interval = 10 * time.Second
	}
	return &Registry{
		publish: publish, store: store, interval: interval, log: log, metrics: newMetrics(reg), wake: make(chan struct{}, 1),
		pairs: map[room.Room]*Pair{}, outdated: map[*Pair]struct{}{},
	}
}

// A Pair is the blocks between the two sides of a room. It is shared by all that watch the
// room, and follows changes. Its methods may be called concurrently and do not block. Those of
// a nil Pair say that there is no block.
type Pair struct {
	registry *Registry
	room     room.Room
	blocks   atomic.Uint32

	// The registry's mu guards the fields below.

	watchers int
	load     uint64 // number of the load that has set blocks; 0 before the first
}

const byCustomer, byTherapist = 1, 2

// Blocks reports whether a side of the room has blocked the other one.
func (p *Pair) Blocks(by room.UserID) bool {
	if p == nil {
		return false
	}
	switch b := p.blocks.Load(); by {
	case p.room.Customer:
		return b&byCustomer != 0
	case p.room.Therapist:
		return b&byTherapist != 0
	default:
		return false
	}
}

// Blocked reports whether the other side of the room has blocked a user.
func (p *Pair) Blocked(user room.UserID) bool {
	return p != nil && (user == p.room.Customer && p.Blocks(p.room.Therapist) || user == p.room.Therapist && p.Blocks(p.room.Customer))
}

// Any reports whether one side of the room has blocked the other one.
func (p *Pair) Any() bool { return p != nil && p.blocks.Load() != 0 }

// Release ends one [Registry.Watch]. Call it once.
func (p *Pair) Release() {
	if p == nil {
		return
	}
	p.registry.mu.Lock()
	defer p.registry.mu.Unlock()
	if p.watchers--; p.watchers == 0 {
		delete(p.registry.pairs, p.room)
		delete(p.registry.outdated, p)
	}
}

// set notes what a load has found, unless a later one has found something already. The
// registry's mu is held.
func (p *Pair) set(b room.Blocks, load uint64) {
	if load <= p.load {
		return
	}
	p.load = load
	var bits uint32
	if b.ByCustomer {
		bits |= byCustomer
	}
	if b.ByTherapist {
		bits |= byTherapist
	}
	p.blocks.Store(bits)
}

// Watch returns the blocks of a room, which it loads if nobody watches the room yet. Call
// [Pair.Release] when it is no longer needed.
func (r *Registry) Watch(ctx context.Context, in room.Room) (*Pair, error) {
	pairs, err := r.WatchAll(ctx, []room.Room{in})
	if err != nil {
		return nil, err
	}
	return pairs[0], nil
}

// WatchAll is Watch for several rooms. It loads those that nobody watches yet together.
func (r *Registry) WatchAll(ctx context.Context, rooms []room.Room) ([]*Pair, error) {
	pairs := make([]*Pair, len(rooms))
	var missing []*Pair
	r.mu.Lock()
	for i, in := range rooms {
		p := r.pairs[in]
		if p == nil {
			p = &Pair{registry: r, room: in}
			r.pairs[in] = p
		}
		if p.watchers++; p.load == 0 {
			missing = append(missing, p)
		}
		pairs[i] = p
	}
	r.mu.Unlock()
	if len(missing) == 0 {
		return pairs, nil
	}
	if err := r.load(ctx, missing); err != nil {
		for _, p := range pairs {
			p.Release()
		}
		return nil, err
	}
	return pairs, nil
}

// Set sets or lifts a block on all replicas. It holds on this one when Set returns. Set reports
// whether that was a change, and returns [room.ErrNotFound] if the room has no conversation.
func (r *Registry) Set(ctx context.Context, b room.Block, in room.Room, active bool) (changed bool, err error) {
	changed, err = r.store.SetBlock(ctx, b, in, active)
	if err != nil {
		return false, err
	}
	if r.load(ctx, r.watched(b)) != nil {
		r.outdate(b) // Run tries again
	}
	// An event that Redis does not take is not kept: each replica looks for changes.
	r.publish(event.Block{Blocker: b.Blocker, Blocked: b.Blocked}, nil)
	return changed, nil
}
