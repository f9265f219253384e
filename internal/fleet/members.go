package fleet

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
)

// hear notes that a replica has sent an event. It returns false for a copy of an event, or an
// event that is older than the last one of its kind: somebody has sent it again.
//
// Only events that expire count, such as heartbeats. Others are no sign of life, since they
// can be sent again at any time.
func (f *Fleet) hear(e *event.Event, now time.Time) (isNew bool) {
	if !e.Kind.Expires() {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	from := source{e.Sender, e.Kind}
	if e.Counter <= f.counters[from] {
		return false
	}
	if e.Sender == f.id && now.Sub(f.lastHeard[e.Sender]) > maxGap {
		f.heardSelf = now
	}
	f.lastHeard[e.Sender], f.counters[from] = now, e.Counter
	return true
}

// exchangeHeartbeats stores the heartbeat of this replica, passes the deployment on to the
// layer, and compares the heartbeats of the others with the events that came from them. It
// returns false if that failed.
func (f *Fleet) exchangeHeartbeats(ctx context.Context, now time.Time) bool {
	own := f.own
	own.HeardSelf, own.AcceptedKeys = f.heardSelfFor(now), f.keys()
	own.SigningKey, own.Uptime = own.AcceptedKeys[0], now.Sub(f.started)
	refusal := f.layer.CanShard(ctx)
	if refusal == nil {
		own.Settings = maps.Clone(own.Settings)
		if own.Settings == nil {
			own.Settings = map[string]string{}
		}
		own.Settings[shards] = "sharded"
	}
	d, others, err := f.store.Heartbeat(ctx, own, MissedFor)
	f.logFailure(err)
	if err != nil {
		return false // the findings stay
	}
	if refusal == nil {
		refusal = refusalOf(others)
	}
	f.layer.UseSharded(refusal)
	f.use(d)
	sharing := map[string]string{}
	for _, id := range f.layer.ExchangeDeployments() {
		sharing[id] = id
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.compare(now, own, others)
	f.update(redisShared, sharing)
	return true
}

// logFailure logs when heartbeats begin to fail and when they succeed again. The readiness
// probe does not read the same tables, so it may find nothing.
func (f *Fleet) logFailure(err error) {
	f.mu.Lock()
	failed := f.failure != nil
	f.failure = err
	if err != nil {
		f.storing = time.Time{}
	}
	f.mu.Unlock()
	switch {
	case err != nil && !failed:
		logging.Component(f.log, slog.LevelError, component, "Heartbeat failed: "+err.Error()+"; retrying every second", slog.String("cause", cause.Of(err)))
	case err == nil && failed:
		logging.Component(f.log, slog.LevelInfo, component, "Heartbeat stored again")
	}
}

// use passes a deployment on to the layer if it or its keys have changed. The store has
// logged the change.
func (f *Fleet) use(d event.Deployment) {
	if !f.current.Same(&d) || !slices.Equal(f.current.Keys, d.Keys) {
		f.current = d
		f.layer.Use(d)
	}
}

// heardSelfFor returns how long this replica has heard itself. It also forgets
// replicas that were last heard long ago.
func (f *Fleet) heardSelfFor(now time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.lastHeard[f.id]) > maxGap {
		f.heardSelf = time.Time{}
	}
	maps.DeleteFunc(f.lastHeard, func(_ event.ProcessID, at time.Time) bool { return now.Sub(at) > 2*(splitAfter+maxAge) })
	maps.DeleteFunc(f.counters, func(from source, _ uint64) bool { return f.lastHeard[from.sender].IsZero() })
	maps.DeleteFunc(f.peers, func(id event.ProcessID, _ *peer) bool { return f.lastHeard[id].IsZero() })
	if f.heardSelf.IsZero() {
		return 0
	}
	return now.Sub(f.heardSelf)
}

// compare updates the findings, and logs what has changed. The caller holds f.mu.
func (f *Fleet) compare(now time.Time, own room.Heartbeat, others []room.Heartbeat) {
	if f.storing.IsZero() {
		f.storing = now
	}
	v := view{
		now: now, started: f.started, heardSelf: f.heardSelf, heard: map[string]time.Time{}, unheard: f.found[splitLayer],
		settled: now.Sub(f.storing) > hungAfter,
	}
	for id, at := range f.lastHeard {
		v.heard[id.String()] = at
	}
	all := v.judge(own, others)
	for _, p := range problems {
		if p != redisShared && p != splitDatabase {
			f.update(p, all[p])
		}
	}
	f.update(splitDatabase, f.apart(now, others))
	f.others, f.compared = others, now
}

// A Member is another replica that has a heartbeat in the store, or had one 10 s ago at most, or
// was heard in the control group a moment ago. One that has ended in order has no heartbeat.
type Member struct {
	ID      event.ProcessID
	Replica string        // its name; "" if no heartbeat of it was read yet
	Silent  time.Duration // since it was last heard of, in the store or the control group
	Lost    bool          // its heartbeats have ceased
}

// Members returns the other replicas. It performs no I/O.
func (f *Fleet) Members() []Member {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	members := make([]Member, 0, len(f.others))
	for i := range f.others {
		o := &f.others[i]
		id, ok := event.ParseProcessID(o.ID)
		if !ok {
			continue // of another build
		}
		last := f.compared.Add(-o.Age)
		if heard := f.lastHeard[id]; heard.After(last) {
			last = heard
		}
		silent := max(0, now.Sub(last))
		members = append(members, Member{ID: id, Replica: o.Replica, Silent: silent, Lost: silent > maxAge})
	}
	for id, at := range f.lastHeard {
		known := slices.ContainsFunc(members, func(m Member) bool { return m.ID == id })
		if silent := now.Sub(at); id != f.id && !known && silent < maxGap {
			m := Member{ID: id, Silent: max(0, silent)}
			if p := f.peers[id]; p != nil {
				m.Replica = p.Replica
			}
			members = append(members, m)
		}
	}
	return members
}

// deleteHeartbeat deletes the heartbeat of this replica at shutdown. If that fails,
// the heartbeat soon expires.
func (f *Fleet) deleteHeartbeat(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = f.store.DeleteHeartbeat(ctx, f.own.ID)
}
