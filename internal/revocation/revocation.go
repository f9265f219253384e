// Package revocation closes the sockets of users whose tokens are no longer valid:
// users who signed out everywhere, were deactivated or deleted. Replicas notify each
// other through package fleet, so sockets close at once. Periodic checks against
// Postgres find users whose notice was lost. Only the store decides who is signed out.
package revocation

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/fleet"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
)

const component = "Tokens"

// Store knows which tokens are no longer valid.
type Store interface {
	// RefusedTokens returns the users whose token, issued at the time beside their id,
	// is no longer valid. A user who does not exist is nil.
	RefusedTokens(ctx context.Context, issued map[room.UserID]time.Time) (map[room.UserID]*room.User, error)
}

// Sockets are the open sockets of this replica.
type Sockets interface {
	// OldestTokens returns the users whose tokens the sockets use, and when the oldest token
	// of each was issued.
	OldestTokens() map[int64]time.Time
	// EndWhere ends each socket for which why returns a close, and returns their number.
	EndWhere(why func(user int64, issued time.Time) *frame.Close) int
}

// A Revoker closes sockets on this replica and notifies the other replicas. Make one
// with [New] and call [Revoker.Run].
type Revoker struct {
	fleet    *fleet.Fleet
	store    Store
	sockets  Sockets
	interval time.Duration
	log      *slog.Logger
	metrics  *metrics
	wake     chan struct{} // there are revocations
	recheck  chan struct{} // a notice may have been lost
	unsent   atomic.Bool   // a notice could not be published

	mu          sync.Mutex
	revocations map[room.UserID]room.User // not yet applied to the sockets
}

// New returns the revoker of a replica. It checks the store at each interval, 30 s if
// that is 0, even if no notice was lost.
func New(f *fleet.Fleet, store Store, sockets Sockets, interval time.Duration, log *slog.Logger, reg prometheus.Registerer) *Revoker {
	if interval == 0 {
		interval = 30 * time.Second
	}
	r := &Revoker{
		fleet: f, store: store, sockets: sockets, interval: interval, log: log, metrics: newMetrics(reg),
		wake: make(chan struct{}, 1), recheck: make(chan struct{}, 1),
		revocations: map[room.UserID]room.User{},
	}
	fleet.Handle(f, kind, func(_ string, n notice) { r.receive(n) }, func() { signal(r.recheck) })
	return r
}

// SignedOut closes the sockets of a user, on every replica, whose token was issued
// before validAfter. It returns at once.
func (r *Revoker) SignedOut(user room.UserID, validAfter time.Time) {
	r.revoke(notice{Type: signedOut, User: user, ValidAfter: validAfter.UTC()})
}

// Deactivated closes all sockets of a user on every replica. It returns at once.
func (r *Revoker) Deactivated(user room.UserID) {
	r.revoke(notice{Type: deactivated, User: user})
}

// revoke does not wait for the notice to come back over the channel layer.
func (r *Revoker) revoke(n notice) {
	r.add(n)
	r.publish(n)
}

// publish sends a notice. One that Redis does not take is not kept: when Redis is
// back, the replicas are asked to check the store.
func (r *Revoker) publish(n notice) {
	r.fleet.Publish(kind, n, func(err error) {
		if err == nil {
			r.metrics.notices.WithLabelValues(n.Type, "published").Inc()
			return
		}
		r.metrics.notices.WithLabelValues(n.Type, "failed").Inc()
		if !r.unsent.Swap(true) && n.Type != checkStore {
			signal(r.recheck)
		}
	})
}

// receive handles a notice. It does not block.
func (r *Revoker) receive(n notice) {
	if !n.valid() {
		r.metrics.notices.WithLabelValues("unknown", "heard").Inc()
		signal(r.recheck) // a newer release may have sent it; the store knows what it is about
		return
	}
	r.metrics.notices.WithLabelValues(n.Type, "heard").Inc()
	if n.Type == checkStore {
		signal(r.recheck)
		return
	}
	r.add(n)
}

// add merges a notice into the revocations that are not yet applied.
func (r *Revoker) add(n notice) {
	r.mu.Lock()
	u, known := r.revocations[n.User]
	if !known {
		u = room.User{ID: n.User, Active: true}
	}
	u.Active = u.Active && n.Type != deactivated
	if n.ValidAfter.After(u.TokensValidAfter) {
		u.TokensValidAfter = n.ValidAfter
	}
	r.revocations[n.User] = u
	r.mu.Unlock()
	signal(r.wake)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run applies revocations and checks the store until ctx ends.
func (r *Revoker) Run(ctx context.Context) {
	var checks sync.WaitGroup
	defer checks.Wait()
	checks.Go(func() { r.checkPeriodically(ctx) })
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
			r.apply()
		}
	}
}

// apply closes the sockets that the revocations are about, in one pass over all
// sockets.
func (r *Revoker) apply() {
	r.mu.Lock()
	revocations := r.revocations
	r.revocations = map[room.UserID]room.User{}
	r.mu.Unlock()
	n := r.sockets.EndWhere(func(user int64, issued time.Time) *frame.Close {
		u, revoked := revocations[room.UserID(user)]
		if !revoked {
			return nil
		}
		return closeFor(&u, issued)
	})
	r.logClosed(n, "notice")
}

func (r *Revoker) logClosed(n int, foundBy string) {
	if n > 0 {
		r.metrics.sockets.WithLabelValues(foundBy).Add(float64(n))
		logging.Component(r.log, slog.LevelInfo, component, "Closed sockets of users who signed out or were deactivated",
			slog.Int("sockets", n), slog.String("found_by", foundBy))
	}
}

// closeFor returns the close of a socket whose token is not valid for the user, or
// nil if it is.
func closeFor(user *room.User, issued time.Time) *frame.Close {
	reason := user.Refuses(issued)
	if reason == "" {
		return nil
	}
	return &frame.Close{Code: frame.CodeIdentity, Reason: reason}
}
