package story

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"golang.org/x/time/rate"

	"github.com/roomspa/roomspa/internal/batch"
	"github.com/roomspa/roomspa/internal/logging"
)

// Day is how long a failed story can be asked for.
const Day = 24 * time.Hour

// What a replica keeps and hands on at most. At 1,000 failing handshakes a second the
// newest second is in its memory, and every fifth story in the store.
const (
	keptFailed  = 1024 // stories of about 1 KB
	keptGood    = 256
	goodEvery   = 100 * time.Millisecond // one good story, at most
	queueLimit  = 1024
	batchLimit  = 128
	perSecond   = 200 // failed stories that go to the store
	perBurst    = 1000
	storeEvery  = 5 * time.Minute // a line of the log, where the store does not take them
	lookupLimit = 3 * time.Second
)

// Store keeps failed stories where every replica finds them, for a day and bounded.
type Store interface {
	// Keep keeps stories. It may lose the oldest ones for it.
	Keep(ctx context.Context, stories []*Story) error
	// Find returns all that was kept under a reference, nothing where that is nothing.
	Find(ctx context.Context, ref string) ([]*Story, error)
	// Failures returns what failed of a user's within a day, newest first.
	Failures(ctx context.Context, user int64) ([]Failure, error)
}

// A Keeper keeps the stories of one replica: the failed ones in its memory and in a
// store, a few of the good ones in its memory alone. Make one with [NewKeeper] and let
// it [Keeper.Run].
type Keeper struct {
	replica string
	store   Store
	failed  *ring
	good    *ring
	queue   *batch.Queue[*Story]
	budget  *rate.Limiter
	log     *slog.Logger

	lastGood atomic.Int64 // Unix nanoseconds
	warned   time.Time    // the writer's own

	kept, sampled, dropped, unstored prometheus.Counter
}

// NewKeeper returns the keeper of a replica's stories.
func NewKeeper(replica string, store Store, log *slog.Logger, reg prometheus.Registerer) *Keeper {
	stories := promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
		Name: "roomspa_stories_total",
		Help: "Failed stories by what became of them: kept (in Redis), sampled (more than 200 a second: in this replica's memory only), dropped (too many waited, likewise), failed (Redis did not take them, likewise).",
	}, []string{"outcome"})
	k := &Keeper{
		replica: replica, store: store, failed: newRing(keptFailed), good: newRing(keptGood),
		budget: rate.NewLimiter(perSecond, perBurst), log: log,
		kept: stories.WithLabelValues("kept"), sampled: stories.WithLabelValues("sampled"),
		dropped: stories.WithLabelValues("dropped"), unstored: stories.WithLabelValues("failed"),
	}
	k.queue = batch.New(batchLimit, queueLimit, k.write)
	return k
}

// Failed keeps a story that must not change any more. It never blocks.
func (k *Keeper) Failed(s *Story) {
	s.Replica = k.replica
	k.failed.add(s)
	k.handOn(s)
}

// Accepted keeps the story of a good handshake, if it is that one's turn.
func (k *Keeper) Accepted(s *Story) {
	now, last := time.Now().UnixNano(), k.lastGood.Load()
	if now-last < int64(goodEvery) || !k.lastGood.CompareAndSwap(last, now) {
		return
	}
	s.Replica = k.replica
	k.good.add(s)
}

// Returned joins a connection to the one that its client had before: under the old
// reference stands from now on how the client saw it end. It returns what this
// replica knows of that itself, nil for nothing.
func (k *Keeper) Returned(s *Story) *Story {
	k.handOn(&Story{
		Version: Version, Ref: s.LastRef,
		Returns: []Return{{At: s.Began, Ref: s.Ref, Code: s.LastCode}},
	})
	return Merge(k.mine(s.LastRef))
}

func (k *Keeper) handOn(s *Story) {
	switch {
	case !k.budget.Allow():
		k.sampled.Inc()
	case !k.queue.Add(s):
		k.dropped.Inc()
	}
}

// Run hands stories to the store until ctx ends, and then those that still wait.
func (k *Keeper) Run(ctx context.Context) { k.queue.Run(ctx) }

func (k *Keeper) write(ctx context.Context, stories []*Story) {
	err := k.store.Keep(ctx, stories)
	if err == nil {
		k.kept.Add(float64(len(stories)))
		return
	}
	k.unstored.Add(float64(len(stories)))
	if now := time.Now(); now.Sub(k.warned) >= storeEvery {
		k.warned = now
		logging.Component(k.log, slog.LevelWarn, "Stories", "Cannot be kept in Redis, only in this replica's memory: "+err.Error())
	}
}

func (k *Keeper) mine(ref string) []*Story {
	return append(k.failed.find(ref), k.good.find(ref)...)
}

// Tell tells what is known under a reference, from this replica's memory and from the
// store. It is [ErrUnknown] where that is nothing; that the store could not be asked
// makes no error where the memory knows.
func (k *Keeper) Tell(ctx context.Context, ref string) (*Told, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	return tell(ctx, k.store, ref, k.mine(ref), k.failed.of)
}
