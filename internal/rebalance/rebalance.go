// Package rebalance evens out how many sockets the replicas hold. Sockets stay
// where they are when replicas are added; so the replicas tell each other over the
// channel layer how many they hold, and one that holds far more than the mean asks
// some of its clients, slowly, to come back anywhere. It refuses to do so during an
// outage or a drain, and knows nothing of what the sockets are for.
package rebalance

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
)

// Group is the one that every replica joins.
const Group = "replicas"

const component = "Rebalance"

// jitter bounds the delay that a client is told to keep. They are asked one by one
// already.
const jitter = time.Second

// Layer is what the replicas hear each other by.
type Layer interface {
	// Join calls deliver for each payload of the group, until leave is called. It
	// returns when the subscription is confirmed.
	Join(ctx context.Context, group string, deliver func(payload []byte), missed func()) (leave func(), err error)
	// Publish never blocks.
	Publish(group string, payload []byte, done func(error))
}

// Sockets is what is open on this replica.
type Sockets interface {
	Len() int
	Draining() bool
	// Shed ends one socket that has nothing in hand, and reports whether there was one.
	Shed(c *frame.Close) bool
}

// Options say how far and how fast.
type Options struct {
	Replica string // its name, for the log of the others
	ID      string // of this process, unlike any other; one is made up where it is empty
	// Heard is told of every notice that is heard, with the id of its sender, this
	// replica's own among them. It must not block. Nil where nobody wants to know.
	Heard func(id string)
	// Rate is how many sockets a second are shed at most; 0 for none.
	Rate float64
	// Threshold is by which fraction of the mean a replica has to be above it before
	// it sheds.
	Threshold float64
	// Ready asks every dependency whether it can be used; Well says what was seen last.
	Ready func(context.Context) bool
	Well  func() bool
}

// A Balance is one replica's part. Make one with [New] and let it [Balance.Run].
type Balance struct {
	o       Options
	id      string // of this process, unlike any other
	layer   Layer
	sockets Sockets
	log     *slog.Logger
	metrics *metrics
	decider decider
	last    time.Time // a socket was shed
	began   time.Time // to shed, zero while it does not
	moved   int       // sockets since then

	trouble atomic.Bool // somebody leaves, or has an outage; the next round finds out more

	mu    sync.Mutex
	peers map[string]peer // this replica among them
}

// A peer is what was last heard of a replica.
type peer struct {
	notice
	at time.Time
}

// version is what a notice's v says. Notices of other versions are not read.
const version = 1

// A notice is what replicas tell each other, as JSON.
type notice struct {
	Version int    `json:"v"`
	ID      string `json:"id"`
	Replica string `json:"replica"`
	count
}

// New returns a replica's part in the balance.
func New(o Options, layer Layer, sockets Sockets, log *slog.Logger, reg prometheus.Registerer) *Balance {
	return &Balance{
		o: o, id: cmp.Or(o.ID, rand.Text()[:12]), layer: layer, sockets: sockets, log: log, metrics: newMetrics(reg),
		decider: decider{threshold: o.Threshold, rate: o.Rate}, peers: map[string]peer{},
	}
}

// Leave tells the others at once that this replica's sockets are about to come to
// them. Call it when the registry has stopped accepting.
func (b *Balance) Leave() { b.announce(count{Sockets: b.sockets.Len(), Draining: true}) }

// Run tells, hears, and sheds until ctx ends.
func (b *Balance) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { b.listen(ctx) })
	tick := time.NewTicker(every)
	defer tick.Stop()
	next := time.NewTimer(0)
	defer next.Stop()
	quota := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			quota = b.round(ctx)
			next.Reset(0)
		case <-next.C:
			if quota <= 0 {
				continue // until the next round
			}
			if b.trouble.Load() || b.sockets.Draining() || !b.o.Well() {
				quota = 0
				continue
			}
			if wait := time.Until(b.last.Add(b.interval())); wait > 0 {
				next.Reset(wait)
				continue
			}
			b.shed()
			quota-- // also where nobody was idle: they are looked through no faster than that
			next.Reset(b.interval())
		}
	}
}

// interval is the time between two sockets.
func (b *Balance) interval() time.Duration { return time.Duration(float64(time.Second) / b.o.Rate) }

func (b *Balance) shed() {
	b.last = time.Now()
	if b.sockets.Shed(&frame.Close{Code: frame.CodeRestart, Reason: "rebalance", After: mathrand.N(jitter)}) {
		b.metrics.shed.Inc()
		b.moved++
	}
}

// listen is a member of the group until ctx ends. Join waits for Redis as long as
// it is away.
func (b *Balance) listen(ctx context.Context) {
	leave, err := b.layer.Join(ctx, Group, b.hear, func() {}) // what was missed comes again
	if err != nil {
		return // ctx has ended, or the layer
	}
	defer leave()
	<-ctx.Done()
}

// hear takes a payload of the group. It does not block.
func (b *Balance) hear(payload []byte) {
	var n notice
	unreadable := json.Unmarshal(payload, &n) != nil
	if b.o.Heard != nil && n.ID != "" {
		b.o.Heard(n.ID) // it speaks, whatever it says
	}
	if unreadable || n.Version != version || n.ID == "" || n.Sockets < 0 {
		return // a newer replica's, perhaps: it is not counted
	}
	if n.Draining || !n.Ready && n.Sockets > 0 {
		b.trouble.Store(true)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.peers[n.ID] = peer{n, time.Now()}
}

func (b *Balance) announce(c count) {
	text, err := json.Marshal(notice{Version: version, ID: b.id, Replica: b.o.Replica, count: c})
	if err != nil {
		panic("encode a notice of our own: " + err.Error()) // JSON holds all that it has
	}
	b.layer.Publish(Group, text, func(error) {}) // the next one comes soon
}

// round tells the others of this replica, decides, and returns how many sockets may
// be shed until the next round.
func (b *Balance) round(ctx context.Context) (quota int) {
	own := count{Ready: b.o.Ready(ctx), Draining: b.sockets.Draining(), Sockets: b.sockets.Len()}
	b.announce(own)
	b.trouble.Store(false)
	now := time.Now()
	d := b.decider.decide(now, b.view(now, own))
	if b.o.Rate <= 0 && d.outcome == shed {
		d.outcome, d.shed = even, 0
	}
	b.metrics.rounds.WithLabelValues(string(d.outcome)).Inc()
	b.metrics.replicas.Set(float64(d.replicas))
	b.metrics.mean.Set(d.mean)
	b.tell(now, own, d)
	return d.shed
}

// view forgets who was not heard for too long.
func (b *Balance) view(now time.Time, own count) view {
	b.mu.Lock()
	defer b.mu.Unlock()
	v := view{own: own, others: map[string]count{}}
	for id, p := range b.peers {
		switch {
		case now.Sub(p.at) > stale:
			delete(b.peers, id)
		case id == b.id:
			v.heard = true
		default:
			v.others[id] = p.count
		}
	}
	return v
}

// tell logs where shedding begins and ends, and nothing in between.
func (b *Balance) tell(now time.Time, own count, d decision) {
	attrs := []slog.Attr{
		slog.Int("sockets", own.Sockets), slog.Int("mean", int(d.mean+0.5)), slog.Int("replicas", d.replicas),
	}
	switch {
	case d.outcome == shed && b.began.IsZero():
		b.began, b.moved = now, 0
		logging.Component(b.log, slog.LevelInfo, component,
			fmt.Sprintf("Far above the mean: shedding at most %g sockets a second", b.o.Rate), attrs...)
	case d.outcome != shed && !b.began.IsZero():
		attrs = append(attrs, slog.Int("moved", b.moved), slog.Duration("after", now.Sub(b.began).Round(time.Second)))
		b.began = time.Time{}
		logging.Component(b.log, slog.LevelInfo, component, "Shedding ends: "+string(d.outcome), attrs...)
	}
}
