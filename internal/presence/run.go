package presence

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/room"
)

const (
	// maxBatch bounds the users in one read or write of the store, and in one event.
	maxBatch = 500
	// leaveTimeout bounds the last writes.
	leaveTimeout = 3 * time.Second
	// pause is the least time between two uses of the store. When many clients connect, their
	// users share commands, and a handshake waits up to so long for them.
	pause = 5 * time.Millisecond
)

// Run keeps the entries of the users that have sockets here, and reads those of watched users,
// until ctx ends. Then it shortens the life of its entries to the delay of Drain and the grace,
// and returns. Call it once.
func (r *Registry) Run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { r.announce(ctx) })
	defer running.Wait()
	tick := time.NewTicker(r.o.Tick)
	defer tick.Stop()
	var next time.Time
	for {
		select {
		case <-ctx.Done():
			r.leave(ctx)
			return
		case <-r.wake:
		case <-tick.C:
			r.collect(time.Now())
		}
		select {
		case <-ctx.Done():
			continue
		case <-time.After(time.Until(next)):
		}
		next = time.Now().Add(pause)
		r.sync(ctx, r.take())
	}
}

// take empties the queue.
func (r *Registry) take() []room.UserID {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := slices.Collect(maps.Keys(r.queue))
	clear(r.queue)
	return ids
}

// collect queues the users whose entries are to be read or written now.
func (r *Registry) collect(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.doubted && !now.Before(r.doubtAt)
	if all {
		r.doubted, r.doubtAt, r.roundAt, r.round = false, now.Add(r.o.Cycle), now, nil
	}
	newRound := len(r.round) == 0 && !now.Before(r.roundAt)
	for id, u := range r.users {
		if newRound && len(u.watchers) > 0 {
			r.round = append(r.round, id)
		}
		if all && u.held || u.due(now, r.o.Grace) {
			r.queue[id] = struct{}{}
		}
	}
	if newRound {
		// A round is spread over its time, so that the users of a replica that was killed do
		// not go offline all at once.
		r.roundAt = now.Add(r.o.Poll)
		r.chunk = max(maxBatch, int(time.Duration(len(r.round)+1)*r.o.Tick/r.o.Poll)+1)
	}
	n := min(r.chunk, len(r.round))
	for _, id := range r.round[:n] {
		if r.users[id] != nil {
			r.queue[id] = struct{}{}
		}
	}
	r.round = r.round[n:]
}

// due reports whether the entry of the user is to be read or written now.
func (u *user) due(now time.Time, grace time.Duration) bool {
	if !u.checkAt.IsZero() {
		return !now.Before(u.checkAt)
	}
	online, inbox := u.here(now, grace)
	return u.held && (!online || !now.Before(u.renewAt)) || u.heldInbox && !inbox
}

// align returns the beginning of the cycle after t. Most reads and writes begin there, so that
// they share commands.
func (r *Registry) align(t time.Time) time.Time {
	return t.Add(-r.phase).Truncate(r.o.Cycle).Add(r.o.Cycle + r.phase)
}

// sync reads the entries of users, and writes those that this replica must change.
func (r *Registry) sync(ctx context.Context, ids []room.UserID) {
	for batch := range slices.Chunk(ids, maxBatch) {
		began := time.Now()
		entries, err := r.store.Load(ctx, batch)
		var w writes
		if err == nil {
			w = r.merge(batch, entries, time.Now())
			if len(w.entries) > 0 {
				err = r.store.Save(ctx, w.entries)
			}
		}
		if err != nil {
			r.retry(batch, &w, time.Now())
			continue
		}
		r.finish(batch, entries, &w, began, time.Now())
	}
}

// retry makes the users of a failed batch be read again in the next cycle.
func (r *Registry) retry(batch []room.UserID, w *writes, now time.Time) {
	r.metrics.failures.Inc()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
	for _, id := range batch {
		if u := r.users[id]; u != nil {
			u.checkAt = r.align(now)
			if before, changed := w.before[id]; changed {
				if u.holding = before; u.sockets > 0 {
					u.leftAt = time.Time{}
				}
				if u.inboxes > 0 {
					u.inboxLeftAt = time.Time{}
				}
			}
		}
	}
}

// finish follows a batch that was read at the time began, and written.
func (r *Registry) finish(batch []room.UserID, entries map[room.UserID]event.Online, w *writes, began, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed {
		// Entries may have expired or got lost while the store was away.
		r.failed, r.doubted, r.trusted = false, true, now.Add(3*r.o.Cycle)
	}
	for _, id := range batch {
		u := r.users[id]
		if u == nil {
			continue
		}
		o, found := entries[id]
		if written, ok := w.entries[id]; ok {
			o, found = written, true
		}
		r.judge(u, o, found, began, now)
		r.forget(id, u)
	}
	for _, p := range w.announce {
		r.queueAnnouncement(p)
	}
}

// judge sets the state of a user to what the entry says. mu is held.
func (r *Registry) judge(u *user, o event.Online, found bool, began, now time.Time) {
	here, inbox := u.here(now, r.o.Grace)
	away, awayInbox := elsewhere(o, r.own, now)
	switch {
	case u.toldAt.After(began):
		return // an event is newer than the entry
	case here || away:
		u.missingAt = time.Time{}
		u.set(State{Online: true, Inbox: inbox || awayInbox, LastSeen: o.LastSeen})
	case !u.state.Online:
		u.set(State{LastSeen: o.LastSeen})
	case now.Before(r.trusted):
	case !found && u.missingAt.IsZero():
		u.missingAt = now
	case !found && now.Sub(u.missingAt) < r.o.Life: // Redis has lost it, which says nothing
	default:
		u.missingAt = time.Time{}
		u.set(State{LastSeen: o.LastSeen})
	}
}

// leave writes for the last time.
func (r *Registry) leave(ctx context.Context) {
	r.mu.Lock()
	r.draining = true
	var ids []room.UserID
	for id, u := range r.users {
		if u.held {
			if u.sockets, u.inboxes = 0, 0; u.leftAt.IsZero() {
				u.leftAt = time.Now()
			}
			ids = append(ids, id)
		}
	}
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	r.sync(ctx, ids)
}
