package session

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/frame"
)

// Options are the limits that all sessions of a replica keep.
type Options struct {
	MaxMessageBytes int
	MessageRate     float64 // messages a second; 0 for no limit
	MessageBurst    int
	PingInterval    time.Duration
	PongTimeout     time.Duration
	WriteTimeout    time.Duration
	SoftLimit       int // sockets above which new ones are told to come back later
	HardLimit       int // sockets above which handshakes are refused
	// Memory says which share of the replica's memory is used, 1 for all of it; nil for
	// nobody knows. It is asked for each socket.
	Memory      func() float64
	TokenLeeway time.Duration
	// Renew judges the token of an auth frame, for a session that lives by another
	// one. It must be safe for concurrent use.
	Renew func(token string, former Token) (Token, error)
	// Ended is told how each session has ended; nil for nobody. It must not block, and
	// be safe for concurrent use.
	Ended func(*End)
}

// A Registry holds all sessions of a replica: it counts them against the limits,
// pings them, ends those whose token has expired, and drains them.
type Registry struct {
	options Options
	metrics *metrics
	ctx     context.Context // what handlers work under; it outlives every request
	abandon context.CancelFunc
	running sync.WaitGroup // readers and writers

	count    atomic.Int64
	draining atomic.Bool
	mu       sync.Mutex
	sessions map[*Session]struct{}
}

// NewRegistry returns an empty registry. Handlers work under ctx, which is to be
// cancelled only after [Registry.Drain] has returned; a drain whose time is over
// ends for them what is left.
func NewRegistry(ctx context.Context, o Options, reg prometheus.Registerer) *Registry {
	ctx, cancel := context.WithCancel(ctx)
	return &Registry{options: o, ctx: ctx, abandon: cancel, metrics: newMetrics(reg), sessions: map[*Session]struct{}{}}
}

// A Slot is a place in the registry, taken before the connection is: a socket
// that is counted only after its hijack could be missed by a drain.
type Slot struct {
	registry *Registry
	endpoint *endpoint
	released atomic.Bool
	// Full says that the socket is to be told to come back later, and why; "" where it
	// may stay.
	Full Full
}

// Full is why a replica takes no more sockets, as a client is told it.
type Full string

// The reasons there are.
const (
	FullOfSockets Full = "this replica is full"
	ShortOfMemory Full = "this replica's memory is nearly used up"
)

// The shares of the memory that are used when new sockets are told to come back, and
// when not even that: what is left is for those that are open, and for what the kernel
// takes between two looks. At 1 it kills the replica, and all of them.
const (
	SoftMemory = 0.90
	hardMemory = 0.95
)

// Reserve takes a place for a socket of an endpoint; component is its name in the
// log. Over a hard limit it returns nil and the reason; while draining, nil alone.
func (r *Registry) Reserve(endpointName, component string) (*Slot, Full) {
	n := r.count.Add(1)
	full, hard := r.full(n)
	if r.draining.Load() {
		full, hard = "", true
	}
	if hard {
		r.count.Add(-1)
		return nil, full
	}
	e := r.metrics.endpoint(endpointName, component)
	e.connections.Inc()
	return &Slot{registry: r, endpoint: e, Full: full}, ""
}

// full says whether the nth socket is one too many, and whether by so much that it is
// not even to be told over a socket.
func (r *Registry) full(n int64) (why Full, hard bool) {
	var memory float64
	if r.options.Memory != nil {
		memory = r.options.Memory()
	}
	switch {
	case n > int64(r.options.HardLimit):
		return FullOfSockets, true
	case memory > hardMemory:
		return ShortOfMemory, true
	case n > int64(r.options.SoftLimit):
		return FullOfSockets, false
	case memory > SoftMemory:
		return ShortOfMemory, false
	}
	return "", false
}

// Release gives the place back where no session came of it. It may be called
// more than once.
func (slot *Slot) Release() {
	if slot.released.CompareAndSwap(false, true) {
		slot.registry.count.Add(-1)
		slot.endpoint.connections.Dec()
	}
}

// Draining reports whether the replica is shutting down.
func (r *Registry) Draining() bool { return r.draining.Load() }

// Len returns how many sockets there are, those in their handshake included.
func (r *Registry) Len() int { return int(r.count.Load()) }

func (r *Registry) add(s *Session) {
	r.mu.Lock()
	r.sessions[s] = struct{}{}
	r.mu.Unlock()
}

// all returns the sessions there are now.
func (r *Registry) all() []*Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*Session, 0, len(r.sessions))
	for s := range r.sessions {
		list = append(list, s)
	}
	return list
}

// Run pings, finds peers that are gone and ends sessions whose token expired,
// until ctx ends. It never writes to a socket itself: a blocked one must not
// stall the others.
func (r *Registry) Run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for _, s := range r.all() {
				s.sweep(now)
			}
		}
	}
}

// Unpinged keeps the server from pinging the socket for so long, and then it is pinged as
// any other: so a client can measure what a silent connection lives through.
func (s *Session) Unpinged(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = true
	s.lastPing = max(s.lastPing, time.Now().Add(d-s.registry.options.PingInterval).UnixNano())
}

func (s *Session) sweep(now time.Time) {
	o := &s.registry.options
	s.mu.Lock()
	expired, warn := s.expiring(now)
	overdue := s.pinged != 0 && !s.handling.Load() && now.UnixNano()-s.pinged > int64(o.PongTimeout)
	due := !expired && s.pinged == 0 && now.UnixNano()-s.lastPing >= int64(o.PingInterval)
	if due {
		s.pingDue, s.lastPing, s.silent = true, now.UnixNano(), false
	}
	s.mu.Unlock()
	switch {
	case expired:
		s.End(&frame.Close{Code: frame.CodeIdentity, Reason: "token_expired", Detail: "the token's time is over"})
	case overdue:
		s.End(&frame.Close{Code: frame.CodeTryLater, Reason: "pong_timeout", After: time.Second})
	case due, warn:
		s.Wake()
	}
}
