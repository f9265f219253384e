package presence

import (
	"slices"
	"time"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/room"
)

// writes are the changes of a batch.
type writes struct {
	entries  map[room.UserID]event.Online
	before   map[room.UserID]holding
	announce []event.UserPresence // once the entries are written
}

// merge returns the entries that this replica must change, given those that were read.
func (r *Registry) merge(batch []room.UserID, entries map[room.UserID]event.Online, now time.Time) writes {
	w := writes{entries: map[room.UserID]event.Online{}, before: map[room.UserID]holding{}}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range batch {
		if u := r.users[id]; u != nil {
			r.mergeUser(&w, id, u, entries[id], now)
		}
	}
	return w
}

// mergeUser decides about one user. mu is held.
func (r *Registry) mergeUser(w *writes, id room.UserID, u *user, o event.Online, now time.Time) {
	online, inbox := u.here(now, r.o.Grace)
	leaving := r.draining && u.sockets == 0 // the entry stays until it expires
	before := u.holding
	away, awayInbox := elsewhere(o, r.own, now)
	i := slices.IndexFunc(o.Replicas, func(e event.ReplicaPresence) bool { return e.Replica == r.own })
	stored := i >= 0 && o.Replicas[i].Until.After(now)
	storedInbox := stored && o.Replicas[i].Inbox
	u.checkAt = time.Time{}
	next := event.Online{LastSeen: o.LastSeen}
	own := event.ReplicaPresence{Replica: r.own} // is in the next entry if it has a time
	switch {
	case leaving && u.held:
		own.Until, own.Inbox = u.leftAt.Add(r.delay+r.o.Grace), u.heldInbox
		next.LastSeen = later(next.LastSeen, u.leftAt)
		u.holding = holding{}
	case leaving:
		return
	case online:
		if u.held && stored && storedInbox == inbox && now.Before(u.renewAt) {
			return
		}
		own.Until, own.Inbox = now.Add(r.o.Life), inbox
		next.LastSeen = later(next.LastSeen, now)
		if !stored || !u.held {
			u.checkAt = r.align(now) // another replica may have written at the same time
		}
		u.held, u.heldInbox, u.renewAt = true, inbox, r.align(now.Add(r.o.Renew))
	case u.held || stored:
		next.LastSeen = later(next.LastSeen, u.leftAt)
		u.checkAt = r.align(now)
		u.holding = holding{}
	default:
		u.holding = holding{}
		return
	}
	for _, e := range o.Replicas {
		if counts(e, r.own, now) {
			next.Replicas = append(next.Replicas, e)
		}
	}
	if !own.Until.IsZero() {
		next.Replicas = append(next.Replicas, own)
	}
	w.before[id], w.entries[id] = before, next
	was := event.UserPresence{Online: before.held || away, Inbox: before.heldInbox || awayInbox}
	is := event.UserPresence{User: id, Online: u.held || away, Inbox: u.heldInbox || awayInbox, LastSeen: next.LastSeen}
	if !leaving && (was.Online != is.Online || was.Inbox != is.Inbox) {
		w.announce = append(w.announce, is)
		r.count(was.Online, is.Online)
	}
}

func (r *Registry) count(before, now bool) {
	switch {
	case now && !before:
		r.metrics.online.Inc()
	case before && !now:
		r.metrics.offline.Inc()
	}
}

// later returns the later time, rounded down to minutes.
func later(a, b time.Time) time.Time {
	if b.After(a) {
		a = b
	}
	return a.UTC().Truncate(time.Minute)
}
