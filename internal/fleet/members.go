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
	own.SigningKey = own.AcceptedKeys[0]
	d, others, err := f.store.Heartbeat(ctx, own, maxAge)
	f.logFailure(err)
	if err != nil {
		return false // the findings stay
	}
	f.use(d)
	sharing := map[string]string{}
	for _, id := range f.layer.ExchangeDeployments() {
		sharing[id] = id
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.compare(now, own, others)
	f.logChange(redisShared, f.sharing, sharing)
	f.sharing = sharing
	f.metrics.sharing.Set(float64(len(sharing)))
	return true
}

// logFailure logs when heartbeats begin to fail and when they succeed again. The readiness
// probe does not read the same tables, so it may find nothing.
func (f *Fleet) logFailure(err error) {
	f.mu.Lock()
	failed := f.failure != nil
	f.failure = err
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
	if f.heardSelf.IsZero() {
		return 0
	}
	return now.Sub(f.heardSelf)
}

// compare updates the findings, and logs what has changed. The caller holds f.mu.
func (f *Fleet) compare(now time.Time, own room.Heartbeat, others []room.Heartbeat) {
	unheard, strangers, skewed := map[string]string{}, map[string]string{}, map[string]string{}
	heard := map[string]time.Time{}
	for id, at := range f.lastHeard {
		heard[id.String()] = at
	}
	for _, o := range others {
		if o.ClockOffset.Abs() > maxSkew {
			skewed[o.ID] = o.Replica // its heartbeats may be dropped as too old, which is no split
			continue
		}
		_, before := f.unheard[o.ID]
		if h := hears(now, f.heardSelf, heard[o.ID], o); h == silent || h == unsure && before {
			unheard[o.ID] = o.Replica
		}
		// A replica that ended before this one started may have had the secrets of its time.
		if now.Add(-o.Age).After(f.started) && refuse(own, o) {
			strangers[o.ID] = o.Replica
		}
	}
	f.logChange(splitLayer, f.unheard, unheard)
	f.logChange(differentSecrets, f.strangers, strangers)
	f.logChange(clockSkew, f.skewed, skewed)
	f.others, f.compared, f.unheard, f.strangers, f.skewed = others, now, unheard, strangers, skewed
	f.metrics.unheard.Set(float64(len(unheard)))
	f.metrics.strangers.Set(float64(len(strangers)))
	f.metrics.skewed.Set(float64(len(skewed)))
}

// A Member is another replica that has a heartbeat in the store, or had one 10 s ago at most.
type Member struct {
	ID      event.ProcessID
	Replica string        // its name
	Silent  time.Duration // since it was last heard of, in the store or the control group
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
		members = append(members, Member{ID: id, Replica: o.Replica, Silent: max(0, now.Sub(last))})
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
