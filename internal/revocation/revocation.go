// Package revocation ends the sockets of users for whom their tokens do not speak
// any more: who signed out everywhere, who was deactivated, who is gone. Replicas
// tell each other over the channel layer, at once; what that has lost, Postgres
// knows. It decides nothing: who is signed out says the store.
package revocation

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
)

// Group is the one that every replica joins.
const Group = "control"

const component = "Tokens"

// Layer is what the replicas hear each other by.
type Layer interface {
	// Join calls deliver for each payload of the group, and missed when something
	// may have been lost, until leave is called. It returns when the subscription is
	// confirmed.
	Join(ctx context.Context, group string, deliver func(payload []byte), missed func()) (leave func(), err error)
	// Publish never blocks. It calls done once, with nil when Redis has the payload.
	Publish(group string, payload []byte, done func(error))
}

// Store knows whom no token speaks for.
type Store interface {
	// RefusedTokens returns those of the users for whom a token that was issued at
	// the time beside the id does not speak any more; nil stands for one who is gone.
	RefusedTokens(ctx context.Context, issued map[room.UserID]time.Time) (map[room.UserID]*room.User, error)
}

// Sockets is what is open on this replica.
type Sockets interface {
	// Tokens returns whose tokens the sockets live by, and when the oldest of each
	// was issued.
	Tokens() map[int64]time.Time
	// EndTokens ends each socket for which why returns a close.
	EndTokens(why func(user int64, issued time.Time) *frame.Close) int
}

// A Watch ends sockets on this replica, and tells the others. Make one with [New]
// and let it [Watch.Run].
type Watch struct {
	layer   Layer
	store   Store
	sockets Sockets
	every   time.Duration
	log     *slog.Logger
	metrics *metrics
	news    chan struct{} // there are verdicts
	doubts  chan struct{} // something may have been missed, or could not be told
	owed    atomic.Bool   // something could not be told

	mu       sync.Mutex
	verdicts map[room.UserID]room.User // heard of, not yet carried out
}

// New returns the watch over the sockets of a replica. It looks into the store
// every so often, 0 for 30 s, whatever it hears.
func New(layer Layer, store Store, sockets Sockets, every time.Duration, log *slog.Logger, reg prometheus.Registerer) *Watch {
	if every == 0 {
		every = 30 * time.Second
	}
	return &Watch{
		layer: layer, store: store, sockets: sockets, every: every, log: log, metrics: newMetrics(reg),
		news: make(chan struct{}, 1), doubts: make(chan struct{}, 1),
		verdicts: map[room.UserID]room.User{},
	}
}

// SignedOut ends the sockets of a user, on every replica, that live by a token of
// before a time. It returns at once.
func (w *Watch) SignedOut(user room.UserID, validAfter time.Time) {
	w.announce(notice{Version: version, Type: signedOut, User: user, ValidAfter: validAfter.UTC()})
}

// Deactivated ends all sockets of a user, on every replica. It returns at once.
func (w *Watch) Deactivated(user room.UserID) {
	w.announce(notice{Version: version, Type: deactivated, User: user})
}

func (w *Watch) announce(n notice) {
	w.take(n)
	w.tell(n)
}

// tell publishes a notice. One that Redis does not take is not kept: when Redis is
// back, the others are told to look for themselves.
func (w *Watch) tell(n notice) {
	w.layer.Publish(Group, n.encode(), func(err error) {
		if err == nil {
			w.metrics.notices.WithLabelValues(n.Type, "published").Inc()
			return
		}
		w.metrics.notices.WithLabelValues(n.Type, "failed").Inc()
		if !w.owed.Swap(true) && n.Type != lookYourself {
			signal(w.doubts)
		}
	})
}

// hear takes a payload of the group. It does not block.
func (w *Watch) hear(payload []byte) {
	n, ok := decode(payload)
	if !ok { // a newer replica's, perhaps: the store knows what it meant
		w.metrics.notices.WithLabelValues("unknown", "heard").Inc()
		signal(w.doubts)
		return
	}
	w.metrics.notices.WithLabelValues(n.Type, "heard").Inc()
	if n.Type == lookYourself {
		signal(w.doubts)
		return
	}
	w.take(n)
}

// take notes what a notice says, for the next look at all sockets.
func (w *Watch) take(n notice) {
	w.mu.Lock()
	v, known := w.verdicts[n.User]
	if !known {
		v = room.User{ID: n.User, Active: true}
	}
	v.Active = v.Active && n.Type != deactivated
	if n.ValidAfter.After(v.TokensValidAfter) {
		v.TokensValidAfter = n.ValidAfter
	}
	w.verdicts[n.User] = v
	w.mu.Unlock()
	signal(w.news)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Run hears, looks and ends sockets until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { w.listen(ctx) })
	running.Go(func() { w.look(ctx) })
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.news:
			w.carryOut()
		}
	}
}

// listen is a member of the group until ctx ends. Join waits for Redis as long as
// it is away.
func (w *Watch) listen(ctx context.Context) {
	leave, err := w.layer.Join(ctx, Group, w.hear, func() { signal(w.doubts) })
	if err != nil {
		return // ctx has ended, or the layer
	}
	defer leave()
	<-ctx.Done()
}

// carryOut ends the sockets that the verdicts are about: one look at all sockets
// for however many verdicts there are.
func (w *Watch) carryOut() {
	w.mu.Lock()
	verdicts := w.verdicts
	w.verdicts = map[room.UserID]room.User{}
	w.mu.Unlock()
	n := w.sockets.EndTokens(func(user int64, issued time.Time) *frame.Close {
		v, concerned := verdicts[room.UserID(user)]
		if !concerned {
			return nil
		}
		return closeFor(&v, issued)
	})
	w.ended(n, "notice")
}

func (w *Watch) ended(n int, found string) {
	if n > 0 {
		w.metrics.sockets.WithLabelValues(found).Add(float64(n))
		logging.Component(w.log, slog.LevelInfo, component, "Sockets ended of users who signed out or were deactivated",
			slog.Int("sockets", n), slog.String("found_by", found))
	}
}

// closeFor returns the close of a socket whose token does not speak for the user
// any more, or nil.
func closeFor(user *room.User, issued time.Time) *frame.Close {
	reason := user.Refuses(issued)
	if reason == "" {
		return nil
	}
	return &frame.Close{Code: frame.CodeIdentity, Reason: reason}
}
