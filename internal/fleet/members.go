package fleet

import (
	"context"
	"maps"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

// hear notes that a replica has sent a message.
func (f *Fleet) hear(id string, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if id == f.own.ID && now.Sub(f.lastHeard[id]) > maxGap {
		f.heardSelf = now
	}
	f.lastHeard[id] = now
}

// exchangeHeartbeats stores the heartbeat of this replica and compares those of the
// others with the messages that came from them.
func (f *Fleet) exchangeHeartbeats(ctx context.Context, now time.Time) {
	own := f.own
	own.HeardSelf, own.AcceptedKeys = f.heardSelfFor(now), f.keys()
	own.SigningKey = own.AcceptedKeys[0]
	_, others, err := f.store.Heartbeat(ctx, own, maxAge)
	if err != nil {
		return // the findings stay; the readiness probe reports what is wrong with Postgres
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.compare(now, own, others)
}

// heardSelfFor returns how long this replica has heard itself. It also forgets
// replicas that were last heard long ago.
func (f *Fleet) heardSelfFor(now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.lastHeard[f.own.ID]) > maxGap {
		f.heardSelf = time.Time{}
	}
	maps.DeleteFunc(f.lastHeard, func(_ string, at time.Time) bool { return now.Sub(at) > 2*(splitAfter+maxAge) })
	if f.heardSelf.IsZero() {
		return 0
	}
	return now.Sub(f.heardSelf)
}

// compare updates the findings, and logs what has changed. The caller holds f.mu.
func (f *Fleet) compare(now time.Time, own room.Heartbeat, others []room.Heartbeat) {
	unheard, strangers := map[string]string{}, map[string]string{}
	for _, o := range others {
		_, before := f.unheard[o.ID]
		if h := hears(now, f.heardSelf, f.lastHeard[o.ID], o); h == silent || h == unsure && before {
			unheard[o.ID] = o.Replica
		}
		// A replica that ended before this one started may have had the secrets of its time.
		if now.Add(-o.Age).After(f.started) && refuse(own, o) {
			strangers[o.ID] = o.Replica
		}
	}
	f.logChange(splitLayer, f.unheard, unheard)
	f.logChange(differentSecrets, f.strangers, strangers)
	f.others, f.unheard, f.strangers = len(others), unheard, strangers
	f.metrics.unheard.Set(float64(len(unheard)))
	f.metrics.strangers.Set(float64(len(strangers)))
}

// deleteHeartbeat deletes the heartbeat of this replica at shutdown. If that fails,
// the heartbeat soon expires.
func (f *Fleet) deleteHeartbeat(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = f.store.DeleteHeartbeat(ctx, f.own.ID)
}
