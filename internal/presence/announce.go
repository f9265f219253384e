package presence

import (
	"context"
	"time"

	"github.com/roomspa/roomspa/internal/event"
)

// queueAnnouncement makes the replica tell the others about a user. A later one about the
// same user replaces it. mu is held.
func (r *Registry) queueAnnouncement(p event.UserPresence) {
	r.pending[p.User] = p
	signal(r.tell)
}

// announce publishes announcements until ctx ends: the first one at once, and then a batch in
// each interval. Those that Redis does not take are not repeated: others read the entries.
func (r *Registry) announce(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.tell:
		}
		if p := r.takeAnnouncements(); len(p.Users) > 0 {
			r.publish(p)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(r.o.Announce):
		}
	}
}

func (r *Registry) takeAnnouncements() (p event.Presence) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, u := range r.pending {
		if len(p.Users) == maxBatch {
			signal(r.tell)
			break
		}
		p.Users = append(p.Users, u)
		delete(r.pending, id)
	}
	return p
}

// hear takes what another replica announces. It does not block.
func (r *Registry) hear(p event.Presence, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, is := range p.Users {
		if is.Online && !r.pending[is.User].Online {
			delete(r.pending, is.User) // ours is older: the other one has found that the user is away
		}
		u := r.users[is.User]
		if u == nil {
			continue
		}
		if online, inbox := u.here(now, r.o.Grace); online && !r.draining && (!is.Online || inbox && !is.Inbox) {
			// The other one has not seen the entry of this replica, and may have written over it.
			is.Online, is.Inbox, is.LastSeen = true, inbox || is.Inbox, later(is.LastSeen, now)
			r.queueAnnouncement(is)
			r.enqueue(is.User)
		}
		u.toldAt, u.missingAt = now, time.Time{}
		u.set(State{Online: is.Online, Inbox: is.Inbox, LastSeen: is.LastSeen})
	}
}

// doubt is called when announcements may have been lost.
func (r *Registry) doubt() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.doubted = true
}
