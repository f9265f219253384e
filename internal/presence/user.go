package presence

import (
	"slices"
	"time"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/room"
)

// A user has sockets on this replica, is watched by some, or both. The registry's mu guards it.
type user struct {
	sockets, inboxes int // that are open here, inboxes being some of the sockets
	holding
	checkAt time.Time // when the entry is to be read again; zero if it need not be

	watchers  []*watcher
	state     State
	known     chan struct{} // closed when the state has been read or told
	toldAt    time.Time     // of the last event about the user
	missingAt time.Time     // since when Redis has no readable entry of a user who was online
}

// A holding is what Redis has of this replica in the entry of a user, or will have soon.
type holding struct {
	held, heldInbox     bool
	renewAt             time.Time // if held
	leftAt, inboxLeftAt time.Time // when the last socket here closed; zero while one is open, or none was
}

type watcher struct{ changed func(State) }

// get returns a user, who is added if there is none. mu is held.
func (r *Registry) get(id room.UserID) *user {
	u := r.users[id]
	if u == nil {
		u = &user{known: make(chan struct{})}
		r.users[id] = u
	}
	return u
}

// enqueue makes Run read the entry of a user now. mu is held.
func (r *Registry) enqueue(id room.UserID) {
	r.queue[id] = struct{}{}
	signal(r.wake)
}

// signal puts a value into c unless it holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (r *Registry) opened(id room.UserID, inbox bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.get(id)
	u.sockets++
	u.leftAt = time.Time{}
	if inbox {
		u.inboxes++
		u.inboxLeftAt = time.Time{}
	}
	if !u.held || inbox && !u.heldInbox {
		r.enqueue(id)
	}
}

func (r *Registry) closed(id room.UserID, inbox bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	u, now := r.users[id], time.Now()
	if u == nil {
		return // the registry has stopped before the socket
	}
	if u.sockets--; u.sockets == 0 {
		if u.leftAt = now; r.draining {
			r.enqueue(id)
		}
	}
	if inbox {
		if u.inboxes--; u.inboxes == 0 {
			u.inboxLeftAt = now
		}
	}
}

func (r *Registry) watch(id room.UserID, w *watcher) State {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.get(id)
	u.watchers = append(u.watchers, w)
	if !u.isKnown() || len(u.watchers) == 1 {
		r.enqueue(id) // a user who was only held here was not read since
	}
	return u.state
}

func (r *Registry) unwatch(id room.UserID, w *watcher) {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.users[id]
	u.watchers = slices.DeleteFunc(u.watchers, func(other *watcher) bool { return other == w })
	r.forget(id, u)
}

// forget deletes a user of whom nothing needs to be known any more. mu is held.
func (r *Registry) forget(id room.UserID, u *user) {
	if len(u.watchers) == 0 && u.sockets == 0 && u.leftAt.IsZero() && !u.held && u.checkAt.IsZero() {
		delete(r.users, id)
		delete(r.queue, id)
	}
}

// HasInbox reports whether a user may have an inbox socket open, on any replica. It is true for
// users of whom this replica knows nothing.
func (r *Registry) HasInbox(id room.UserID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.users[id]
	return u == nil || !u.isKnown() || u.state.Inbox || u.inboxes > 0
}

func (u *user) isKnown() bool {
	select {
	case <-u.known:
		return true
	default:
		return false
	}
}

// set sets the state, and tells it to the watchers if it has changed for them. mu is held.
func (u *user) set(s State) {
	s.LastSeen = s.LastSeen.UTC().Truncate(time.Minute)
	if s.LastSeen.Before(u.state.LastSeen) {
		s.LastSeen = u.state.LastSeen
	}
	before := u.state
	if u.state = s; !u.isKnown() {
		close(u.known)
	}
	if s.Online == before.Online && s.Inbox == before.Inbox && (s.Online || s.LastSeen.Equal(before.LastSeen)) {
		return
	}
	for _, w := range u.watchers {
		w.changed(s)
	}
}

// here reports whether the user has a socket, or an inbox socket, on this replica, or had one
// less than the grace ago.
func (u *user) here(now time.Time, grace time.Duration) (online, inbox bool) {
	online = u.sockets > 0 || !u.leftAt.IsZero() && now.Sub(u.leftAt) < grace
	inbox = u.inboxes > 0 || !u.inboxLeftAt.IsZero() && now.Sub(u.inboxLeftAt) < grace
	return online, inbox && online
}

// elsewhere reports whether the user is online, and has an inbox open, on other replicas.
func elsewhere(o event.Online, own event.ProcessID, now time.Time) (online, inbox bool) {
	for _, e := range o.Replicas {
		if counts(e, own, now) {
			online, inbox = true, inbox || e.Inbox
		}
	}
	return online, inbox
}

// counts reports whether an entry is that of another replica and has not expired.
func counts(e event.ReplicaPresence, own event.ProcessID, now time.Time) bool {
	return e.Replica != own && e.Until.After(now)
}
