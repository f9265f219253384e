// Package revocation closes the sockets of users whose tokens are no longer valid:
// users who signed out everywhere, were deactivated or deleted. Replicas name such users
// to each other through package fleet, and each asks Postgres about them. Periodic checks
// of everybody find the users whose event was lost. Only Postgres decides: an event
// closes no socket.
package revocation

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/fleet"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

const component = "Tokens"

// maxNamed is the number of named users above which everybody is checked.
const maxNamed = 4096

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

// A Revoker closes sockets on this replica and names users to the other replicas. Make
// one with [New] and call [Revoker.Run].
type Revoker struct {
	publish  func(body event.Body, done func(error))
	store    Store
	sockets  Sockets
	interval time.Duration
	log      *slog.Logger
	metrics  *metrics
	wake     chan struct{} // what is to be checked has changed
	unsent   atomic.Bool   // an event could not be published

	mu        sync.Mutex
	users     map[room.UserID]struct{} // to be checked as soon as notBefore allows
	everybody time.Time                // when everybody is to be checked
	notBefore time.Time                // the earliest time of the next query
}

// New returns the revoker of a replica. It checks everybody at each interval, 30 s if
// that is 0, even if no event was lost.
func New(f *fleet.Fleet, store Store, sockets Sockets, interval time.Duration, log *slog.Logger, reg prometheus.Registerer) *Revoker {
	r := newRevoker(f.Publish, store, sockets, interval, log, reg)
	fleet.Handle(f, func(_ event.ProcessID, e event.Revocation) { r.receive(e) }, r.addEverybody)
	return r
}

func newRevoker(publish func(event.Body, func(error)), store Store, sockets Sockets, interval time.Duration, log *slog.Logger, reg prometheus.Registerer) *Revoker {
	if interval == 0 {
		interval = 30 * time.Second
	}
	r := &Revoker{
		publish: publish, store: store, sockets: sockets, interval: interval, log: log, metrics: newMetrics(reg),
		wake: make(chan struct{}, 1), users: map[room.UserID]struct{}{},
	}
	r.everybody = time.Now().Add(r.jittered())
	return r
}

// RequestCheck makes every replica check the users, on behalf of a command that has
// changed them in Postgres. Without users, everybody is checked. publish gets the group
// and the event.
func RequestCheck(users []room.UserID, publish func(group string, body event.Body) error) error {
	if len(users) > maxNamed {
		users = nil
	}
	return fleet.Announce(event.Revocation{Users: users}, publish)
}

// Check makes every replica close the sockets of a user whose tokens are no longer valid
// according to Postgres. It returns at once; the sockets close within a second. On this
// replica it works without Redis.
func (r *Revoker) Check(user room.UserID) {
	r.add(user)
	r.send(event.Revocation{Users: []room.UserID{user}})
}

// send publishes an event. One that Redis does not take is not kept: when Redis is back,
// the replicas are asked to check everybody.
func (r *Revoker) send(e event.Revocation) {
	r.publish(e, func(err error) {
		outcome := "published"
		if err != nil {
			outcome = "failed"
			r.unsent.Store(true)
		}
		r.metrics.notices.WithLabelValues(about(e), outcome).Inc()
	})
}

// about returns whom an event is about, for the metric.
func about(e event.Revocation) string {
	if len(e.Users) == 0 {
		return "everybody"
	}
	return "users"
}

// receive handles an event. It does not block.
func (r *Revoker) receive(e event.Revocation) {
	r.metrics.notices.WithLabelValues(about(e), "heard").Inc()
	if len(e.Users) == 0 {
		r.addEverybody()
		return
	}
	r.add(e.Users...)
}
