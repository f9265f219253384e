// Package revocation closes the sockets that were admitted by facts that no longer hold:
// a user has signed out everywhere, was deactivated or deleted, or has another role; the
// other side of a room is gone. Replicas name such users to each other through package
// fleet, Postgres names those that were changed by SQL, and each replica loads them.
// Periodic checks of everybody find the users whose event was lost, and those in a view
// over another application's table. Only Postgres decides: an event closes no socket.
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
	"github.com/roomspa/roomspa/internal/session"
)

const component = "Tokens"

// maxNamed is the number of named users above which everybody is checked.
const maxNamed = 4096

// Store has the users.
type Store interface {
	// Users returns the users that exist among ids.
	Users(ctx context.Context, ids []room.UserID) (map[room.UserID]*room.User, error)
	// ChangedUsers returns the users whose row has changed since a mark, the newest change
	// first, and the next mark. It may return a user more than once. An empty mark stands
	// for the oldest change that is known.
	ChangedUsers(ctx context.Context, since string) (users []room.UserID, next string, err error)
	// ForgetUserChanges deletes the changes before a mark.
	ForgetUserChanges(ctx context.Context, mark string) error
}

// Sockets are the open sockets of this replica.
type Sockets interface {
	// Grants returns the facts that admitted the sockets.
	Grants() []session.Grant
	// EndWhere ends the socket of each grant for which why returns a close, and returns
	// their number.
	EndWhere(grants []session.Grant, why func(session.Grant) *frame.Close) int
}

// Recheck returns nil if a socket may stay open, else how it closes. find returns a user as
// Postgres has it now, or nil if there is no such user.
type Recheck func(g session.Grant, find func(room.UserID) *room.User) *frame.Close

// A Revoker closes sockets on this replica and names users to the other replicas. Make
// one with [New] and call [Revoker.Run].
type Revoker struct {
	publish  func(body event.Body, done func(error))
	store    Store
	sockets  Sockets
	recheck  Recheck
	interval time.Duration
	log      *slog.Logger
	metrics  *metrics
	wake     chan struct{} // what is to be checked has changed
	unsent   atomic.Bool   // an event could not be published

	mu        sync.Mutex
	users     map[room.UserID]struct{} // to be checked as soon as notBefore allows
	everybody time.Time                // when everybody is to be checked
	notBefore time.Time                // the earliest time of the next query

	changes changes // used by Run only
}

// New returns the revoker of a replica. It checks everybody at each interval, 30 s if
// that is 0, even if no event was lost.
func New(f *fleet.Fleet, store Store, sockets Sockets, recheck Recheck, interval time.Duration, log *slog.Logger, reg prometheus.Registerer) *Revoker {
	r := newRevoker(f.Publish, store, sockets, recheck, interval, log, reg)
	fleet.Handle(f, func(_ event.ProcessID, e event.Revocation) { r.receive(e) }, r.addEverybody)
	return r
}

func newRevoker(publish func(event.Body, func(error)), store Store, sockets Sockets, recheck Recheck, interval time.Duration, log *slog.Logger, reg prometheus.Registerer) *Revoker {
	if interval == 0 {
		interval = 30 * time.Second
	}
	r := &Revoker{
		publish: publish, store: store, sockets: sockets, recheck: recheck, interval: interval, log: log, metrics: newMetrics(reg),
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

// CheckHere is [Revoker.Check] for this replica alone.
func (r *Revoker) CheckHere(user room.UserID) { r.add(user) }

// Check makes every replica close the sockets of a user that Postgres no longer admits. It
// returns at once; the sockets close within a second. On this replica it works without
// Redis.
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
