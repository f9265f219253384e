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

// Day is the time for which a failed story is kept.
const Day = 24 * time.Hour

// The limits of a replica. With 1,000 failed handshakes per second it has the stories of the
// last second in memory, and a fifth of all stories in the store.
const (
	failedInMemory   = 1024 // stories of about 1 KB
	acceptedInMemory = 256
	acceptedInterval = 100 * time.Millisecond // minimum time between two accepted stories
	queueLimit       = 1024
	batchLimit       = 128
	storeRate        = 200 // stories per second
	storeBurst       = 1000
	warnInterval     = 5 * time.Minute // between two warnings about an unavailable store
	lookupTimeout    = 3 * time.Second
)

// A Store keeps the stories of failed connections of all replicas for a day. Its size is
// bounded.
type Store interface {
	// Keep stores stories. It may drop the oldest ones.
	Keep(ctx context.Context, stories []*Story) error
	// Find returns all stories with a reference, or none.
	Find(ctx context.Context, ref string) ([]*Story, error)
	// Failures returns the failures of a user within a day, newest first.
	Failures(ctx context.Context, user int64) ([]Failure, error)
}

// A Recorder keeps the stories of one replica: failed ones in memory and in a store, some of the
// accepted ones in memory. [Recorder.Run] must run for stories to reach the store. A Recorder is
// safe for concurrent use.
type Recorder struct {
	replica  string
	store    Store
	failed   *ring
	accepted *ring
	queue    *batch.Queue[*Story]
	limiter  *rate.Limiter
	log      *slog.Logger

	lastAccepted atomic.Int64 // Unix nanoseconds
	lastWarning  time.Time    // used by write only

	kept, sampled, dropped, unstored prometheus.Counter
}

// NewRecorder returns a Recorder for a replica.
func NewRecorder(replica string, store Store, log *slog.Logger, reg prometheus.Registerer) *Recorder {
	stories := promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
		Name: "roomspa_stories_total",
		Help: "Total stories of failed connections, by outcome: kept in Redis, or in memory only because of the rate limit of 200 per second (sampled), a full queue (dropped) or an error of Redis (failed).",
	}, []string{"outcome"})
	r := &Recorder{
		replica: replica, store: store, failed: newRing(failedInMemory), accepted: newRing(acceptedInMemory),
		limiter: rate.NewLimiter(storeRate, storeBurst), log: log,
		kept: stories.WithLabelValues("kept"), sampled: stories.WithLabelValues("sampled"),
		dropped: stories.WithLabelValues("dropped"), unstored: stories.WithLabelValues("failed"),
	}
	r.queue = batch.New(batchLimit, queueLimit, r.write)
	return r
}

// RecordFailed keeps the story of a failed connection. The caller must not change it afterwards. It
// never blocks.
func (r *Recorder) RecordFailed(s *Story) {
	s.Replica = r.replica
	r.failed.add(s)
	r.enqueue(s)
}

// RecordAccepted keeps the story of an accepted handshake in memory, at most one every 100 ms.
func (r *Recorder) RecordAccepted(s *Story) {
	now, last := time.Now().UnixNano(), r.lastAccepted.Load()
	if now-last < int64(acceptedInterval) || !r.lastAccepted.CompareAndSwap(last, now) {
		return
	}
	s.Replica = r.replica
	r.accepted.add(s)
}

// LinkPrevious records, under the reference of the client's previous connection, how the client saw
// that connection end. It returns the story of that connection if it is in memory, else nil.
func (r *Recorder) LinkPrevious(s *Story) *Story {
	r.enqueue(&Story{
		Version: Version, Ref: s.LastRef,
		Returns: []Return{{At: s.Began, Ref: s.Ref, Code: s.LastCode}},
	})
	return Merge(r.inMemory(s.LastRef))
}

// enqueue queues a story for the store, within the rate limit.
func (r *Recorder) enqueue(s *Story) {
	switch {
	case !r.limiter.Allow():
		r.sampled.Inc()
	case !r.queue.Add(s):
		r.dropped.Inc()
	}
}

// Run writes stories to the store until ctx ends and the queue is empty.
func (r *Recorder) Run(ctx context.Context) { r.queue.Run(ctx) }

func (r *Recorder) write(ctx context.Context, stories []*Story) {
	err := r.store.Keep(ctx, stories)
	if err == nil {
		r.kept.Add(float64(len(stories)))
		return
	}
	r.unstored.Add(float64(len(stories)))
	if now := time.Now(); now.Sub(r.lastWarning) >= warnInterval {
		r.lastWarning = now
		logging.Component(r.log, slog.LevelWarn, "Stories", "Redis unavailable: "+err.Error()+"; keeping stories in memory only")
	}
}

func (r *Recorder) inMemory(ref string) []*Story {
	return append(r.failed.find(ref), r.accepted.find(ref)...)
}

// Explain explains the story of a reference from memory and from the store. It returns
// [ErrUnknown] if there is none. An unavailable store is an error only if the story is not in
// memory.
func (r *Recorder) Explain(ctx context.Context, ref string) (*Explanation, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	return explain(ctx, r.store, ref, r.inMemory(ref), r.failed.failuresOf)
}
