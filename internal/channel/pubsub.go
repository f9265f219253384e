package channel

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/redis"
)

// overlap is how long after another replica a replica may notice that the kind of Pub/Sub is to
// change, so that nothing is lost between the two: two intervals of stored heartbeats, and some.
const overlap = 25 * time.Second

// pubsub is the kind of Pub/Sub in use. In Redis Cluster it is sharded if every live replica can
// use it; otherwise plain Pub/Sub, which earlier releases know alone.
//
// A replica listens to one kind. For a change to sharded Pub/Sub every replica first publishes both
// ways, an overlap later listens to the other kind, and two overlaps later ceases to publish the
// old way. So what one replica publishes is heard by all, whichever step they are at. The way back is not announced: a replica of an earlier release appears. So replicas
// listen to plain Pub/Sub at once, publish both ways for a while, and what was lost meanwhile is
// found in Postgres by the next sweep.
type pubsub struct {
	log     *slog.Logger
	sharded atomic.Bool           // what subscribers use
	own     atomic.Pointer[error] // why this replica cannot

	// Only for UseSharded.
	agreed bool // all replicas can use sharded Pub/Sub
	since  time.Time
	text   string // the last line in the log
}

// CanShard returns nil if this replica can use sharded Pub/Sub, or why it cannot. It asks Redis the
// first time, and once a minute while it cannot.
func (l *Layer) CanShard(ctx context.Context) error {
	err := l.client.CanShard(ctx)
	l.pubsub.own.Store(&err)
	return err //nolint:wrapcheck // the reason
}

// Finding returns nil, or in Redis Cluster why this replica cannot use sharded Pub/Sub. It performs no
// I/O.
func (l *Layer) Finding() error {
	if err := l.pubsub.own.Load(); err != nil && len(l.shards) > 1 {
		return *err
	}
	return nil
}

// UseSharded says whether sharded Pub/Sub is to be used: nil if every live replica can, or else why
// not. Call it before Use, and then every 10 s. Calls must not overlap. It performs no I/O and does
// nothing but in Redis Cluster.
func (l *Layer) UseSharded(refusal error) { l.useSharded(refusal, time.Now()) }

func (l *Layer) useSharded(refusal error, now time.Time) {
	p := &l.pubsub
	if len(l.shards) == 1 {
		return
	}
	agree := refusal == nil
	starting := l.client.Ring() == nil
	switch {
	case starting:
		p.agreed, p.since = agree, now.Add(-overlap) // others may be about to change
	case agree != p.agreed:
		p.agreed, p.since = agree, now
	}
	listen, both := agree && now.Sub(p.since) >= overlap, now.Sub(p.since) < 3*overlap
	changed := p.sharded.Swap(listen) != listen
	l.client.SetPublishing(redis.Publishing{Plain: !agree || both, Sharded: agree || both && !starting})
	l.metrics.sharded.Set(map[bool]float64{true: 1}[listen])
	p.write(listen, refusal)
	if changed {
		l.resubscribe()
	}
}

// write logs which kind of Pub/Sub is used, if that or the reason has changed.
func (p *pubsub) write(sharded bool, refusal error) {
	level, text := slog.LevelInfo, "Pub/Sub in Redis Cluster: sharded"
	switch {
	case refusal != nil:
		level, text = slog.LevelWarn, "Pub/Sub in Redis Cluster: plain, so each message goes to every node: "+refusal.Error()
	case !sharded:
		text = "Pub/Sub in Redis Cluster: plain for another moment, then sharded: all replicas can use it"
	}
	if text != p.text {
		logging.Component(p.log, level, component, text)
		p.text = text
	}
}
