package channel

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roomspa/roomspa/internal/redis"
)

// A shard is one command pipeline and one subscription, with the groups that use them.
// The subscription is replaced whenever it is lost.
type shard struct {
	client   *redis.Client
	pipeline *redis.Pipeline
	prefix   string
	id       string        // unique; part of the channel for echoes
	silence  time.Duration // without an event or an echo before a connection counts as lost
	log      *slog.Logger
	metrics  *metrics
	health   *health
	groups   *groups
	echoes   echoes

	current    atomic.Pointer[subscriber] // nil while there is no connection
	subscribes bool                       // a connection has been made before; only for stayConnected
	failed     chan struct{}              // the pipeline went down: send the next heartbeat soon
	stopped    chan struct{}
	warnOnce   sync.Once // about unreadable payloads
}

func newShard(client *redis.Client, h *health, log *slog.Logger, m *metrics) *shard {
	silence := client.Timeout() * 3 / 2 // three heartbeats, at the default of 2 s
	return &shard{
		client: client, pipeline: client.Pipeline, prefix: client.Prefix(), id: rand.Text()[:12], silence: silence,
		log: log, metrics: m, health: h, groups: newGroups(m, silence), echoes: echoes{start: time.Now()},
		failed: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
}

// run returns after ctx has ended and the pipeline has sent what was queued.
func (s *shard) run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { s.pipeline.Run(ctx, s.pipelineChanged) })
	all.Go(func() { s.sendHeartbeats(ctx) })
	all.Go(func() { s.stayConnected(ctx) })
	all.Wait()
}

func (s *shard) pipelineChanged(err error) {
	s.setHealth(publishing, err)
	if err != nil {
		select {
		case s.failed <- struct{}{}:
		default:
		}
	}
}

// stayConnected keeps one subscriber running until ctx ends.
func (s *shard) stayConnected(ctx context.Context) {
	attempt := 0
	for ctx.Err() == nil {
		up, err := s.subscribe(ctx)
		s.current.Store(nil)
		s.groups.disconnect()
		s.echoes.failAll()
		if ctx.Err() != nil {
			break
		}
		s.setHealth(subscribing, err)
		if errors.Is(err, errNoEcho) {
			// The pipeline may be connected to a server that is no longer the master. Such a
			// connection reports no error, so all of them have to be dialed again.
			s.client.Redial()
		}
		if up > time.Second {
			attempt = 0
		}
		backoff(ctx, attempt)
		attempt++
	}
}

// backoff waits before a further attempt: not at all before the first one, then up to a
// second, with jitter so that replicas do not reconnect together.
func backoff(ctx context.Context, attempt int) {
	if attempt == 0 {
		return
	}
	limit := min(25*time.Millisecond<<min(attempt, 10), time.Second)
	timer := time.NewTimer(limit/2 + mathrand.N(limit/2))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
