package fleet

import (
	"time"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/room"
)

// A peer is a replica as it describes itself in the control group.
type peer struct {
	event.Heartbeat
	missing time.Time // since when it is stored, as it says, but not in this Postgres; zero if it is not so
}

// heartbeat is what this replica says of itself in the control group.
func (f *Fleet) heartbeat() event.Heartbeat {
	f.mu.Lock()
	defer f.mu.Unlock()
	stored := f.failure == nil && time.Since(f.compared) <= maxAge
	return event.Heartbeat{Replica: f.own.Replica, Database: f.database, Stored: stored}
}

// meet notes what a replica says of itself.
func (f *Fleet) meet(sender event.ProcessID, h event.Heartbeat) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.peers[sender]
	if p == nil {
		p = &peer{}
		f.peers[sender] = p
	}
	p.Heartbeat = h
}

// apart returns the replicas that store their heartbeats in another Postgres than this replica, by
// id. stored are the heartbeats in this one. The caller holds f.mu.
//
// A replica counts that was heard for splitAfter since it was first missed here, and all the time
// said that it is stored. One that starts, or whose Postgres is away, does not say so, nor does
// an earlier release. One that shuts down is not heard any more.
func (f *Fleet) apart(now time.Time, stored []room.Heartbeat) map[string]string {
	if now.Sub(f.lastHeard[f.id]) > maxGap {
		return f.found[splitDatabase] // Redis is away, which is no news
	}
	here := map[string]bool{f.own.ID: true}
	for i := range stored {
		if stored[i].Age <= maxAge {
			here[stored[i].ID] = true
		}
	}
	all := map[string]string{}
	for id, p := range f.peers {
		heard := f.lastHeard[id]
		switch {
		case here[id.String()] || !p.Stored || now.Sub(heard) > splitAfter:
			p.missing = time.Time{}
		case p.missing.IsZero():
			p.missing = now
		case heard.Sub(p.missing) >= splitAfter:
			all[id.String()] = p.Replica + f.place(p.Database)
		}
	}
	return all
}

// place says where the Postgres of another replica is.
func (f *Fleet) place(database string) string {
	switch database {
	case "":
		return ""
	case f.database:
		return " (" + show(database) + ", the same name as here)"
	}
	return " (" + show(database) + ", here " + show(f.database) + ")"
}
