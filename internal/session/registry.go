package session

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/budget"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
)

// Options are the settings of a [Registry].
type Options struct {
	MaxMessageBytes int
	MessageRate     float64 // received messages per second and session; 0 means no limit
	MessageBurst    int
	PingInterval    time.Duration
	PongTimeout     time.Duration
	WriteTimeout    time.Duration
	SoftLimit       int // sockets above which new ones are closed with 1013 busy
	HardLimit       int // sockets above which handshakes are refused with HTTP 503
	UserSockets     int // sockets of one user; 0 means no limit
	// ShareRate makes the sockets of anonymous endpoints share a message rate with those of
	// the same client network, as the sockets of a user do.
	ShareRate bool
	// Memory returns the used share of the memory limit, between 0 and 1. It is called for
	// each handshake. nil means that memory is not checked.
	Memory func() float64
	// Budget bounds the bytes that all peers hold together. nil means no limit.
	Budget      *budget.Budget
	TokenLeeway time.Duration // time after the expiry of a token at which its session ends
	// ClassicMaxAge is the age at which sessions of classic clients end. 0 means no limit.
	ClassicMaxAge time.Duration
	// Renew verifies the token of an auth frame, given the session's current one. It must
	// be safe for concurrent use.
	Renew func(token string, former Token) (Token, error)
	// OnEnd is called once for each session that has ended. It must not block and must be
	// safe for concurrent use. It may be nil.
	OnEnd func(*End)
}

// A Registry holds the sessions of a replica. It enforces the limits, sends pings, ends
// sessions whose token has expired, and drains. It is safe for concurrent use.
type Registry struct {
	options Options
	metrics *metrics
	ctx     context.Context // passed to handlers; outlives the requests
	cancel  context.CancelFunc
	running sync.WaitGroup // readers and writers
	writers *writers
	recent  recentMessages

	count     atomic.Int64 // sockets, including those in their handshake
	anonymous atomic.Int64 // of count, those of anonymous endpoints
	refused   atomic.Int64 // of count, those whose handshake failed and that are being closed
	draining  atomic.Bool
	watch     atomic.Pointer[func(Subject) logging.Watch]
	mu        sync.Mutex
	sessions  map[*Session]struct{}
	members   map[memberKey]*member
}

// NewRegistry returns an empty registry. ctx is the parent of the context that handlers get
// and must not be cancelled before [Registry.Drain] has returned.
func NewRegistry(ctx context.Context, o Options, reg prometheus.Registerer) *Registry {
	ctx, cancel := context.WithCancel(ctx)
	return &Registry{options: o, ctx: ctx, cancel: cancel, metrics: newMetrics(reg), writers: newWriters(), sessions: map[*Session]struct{}{}, members: map[memberKey]*member{}}
}

// Draining reports whether the registry refuses handshakes because of a shutdown.
func (r *Registry) Draining() bool { return r.draining.Load() }

// Len returns the number of sockets, including those still in their handshake.
func (r *Registry) Len() int { return int(r.count.Load()) }

// SignedIn returns the number of sockets of endpoints that take a token, without those whose
// handshake has failed.
func (r *Registry) SignedIn() int {
	return int(max(0, r.count.Load()-r.anonymous.Load()-r.refused.Load()))
}

func (r *Registry) add(s *Session) {
	r.mu.Lock()
	r.sessions[s] = struct{}{}
	r.mu.Unlock()
}

// all appends the sessions to list and returns the result.
func (r *Registry) all(list []*Session) []*Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	list = slices.Grow(list, len(r.sessions))
	for s := range r.sessions {
		list = append(list, s)
	}
	return list
}

// Run sends pings and ends sessions whose pong is overdue or whose token has expired, until
// ctx ends. It never writes to a socket itself, because a blocked one would delay the others.
func (r *Registry) Run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var list []*Session
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			list = r.all(list[:0])
			for _, s := range list {
				s.sweep(now)
			}
			clear(list) // so that it keeps no session that ends
		}
	}
}

// PausePings suspends pings for the duration d, so that a client can measure how long proxies
// keep an idle connection open.
func (s *Session) PausePings(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pingsPaused = true
	s.lastPing = max(s.lastPing, time.Now().Add(d-s.registry.options.PingInterval).UnixNano())
}

func (s *Session) sweep(now time.Time) {
	o := &s.registry.options
	s.mu.Lock()
	expired, warn := s.checkExpiry(now)
	overdue := s.pingSent != 0 && !s.stopped && !s.starved && now.UnixNano()-s.pingSent > int64(o.PongTimeout)
	due := !expired && s.pingSent == 0 && now.UnixNano()-s.lastPing >= int64(o.PingInterval)
	if due {
		s.pingDue, s.lastPing, s.pingsPaused = true, now.UnixNano(), false
	}
	starved, began := s.starved, s.messageBegan.Load()
	s.mu.Unlock()
	switch {
	case expired:
		s.End(&frame.Close{Code: frame.CodeIdentity, Reason: "token_expired", Detail: "the token has expired"})
	case began != 0 && now.UnixNano()-began > int64(messageTimeout) && starved:
		s.End(noRoom) // the client may not be at fault
	case began != 0 && now.UnixNano()-began > int64(messageTimeout):
		s.End(&frame.Close{Code: frame.CodePolicy, Reason: "message_timeout", Detail: fmt.Sprintf("the message was not complete %v after its first byte", messageTimeout)})
	case s.maxAge() != 0 && now.UnixNano()-s.opened > int64(s.maxAge()):
		s.End(&frame.Close{Code: frame.CodeRestart, Reason: "max_age", Detail: fmt.Sprintf("sockets of this kind are open for at most %v", s.maxAge()), After: rand.N(jitter)})
	case overdue:
		s.End(&frame.Close{Code: frame.CodeTryLater, Reason: "pong_timeout", After: time.Second})
	case due, warn:
		s.Wake()
	}
}

// maxAge returns the age at which the session ends, or 0 if it has no limit.
func (s *Session) maxAge() time.Duration {
	switch {
	case s.endpoint.anonymous:
		return anonymousAge
	case s.endpoint.classic:
		return s.registry.options.ClassicMaxAge
	}
	return 0
}
