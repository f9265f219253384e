package channel

import (
	"context"
	"errors"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/redis"
)

// maxMoves is how often in a row a slot may have moved before the shard counts as down. Nodes
// learn from each other who serves a slot, which takes a moment.
const maxMoves = 6

// A shard is one command pipeline and one subscription, with the groups that use them.
// The subscription is replaced whenever it is lost.
type shard struct {
	layer    *Layer
	index    int
	client   *redis.Client
	pipeline *redis.Pipeline
	silence  time.Duration // without an event or an echo before a connection counts as lost
	metrics  *metrics
	health   *health
	groups   *groups
	echoes   echoes

	current    atomic.Pointer[subscriber] // nil while there is no connection
	subscribes bool                       // a connection has been made before; only for stayConnected
	failed     chan struct{}              // the pipeline went down: send the next heartbeat soon
	subscribed event.Deployment           // of the last connection with all groups; only for onSubscribed
	reconnect  chan struct{}              // holds a value if the current subscriber may be out of date
}

func newShard(l *Layer, index int) *shard {
	silence := l.client.Timeout() * 3 / 2 // three heartbeats, at the default of 2 s
	return &shard{
		layer: l, index: index, client: l.client, pipeline: l.client.Pipelines[index], silence: silence, metrics: l.metrics, health: l.health,
		groups: newGroups(l.metrics, silence), echoes: echoes{start: time.Now()}, failed: make(chan struct{}, 1), reconnect: make(chan struct{}, 1),
	}
}

// run returns after ctx has ended and the pipeline has sent what was queued. Until the
// deployment is known there is nothing to do: no name is.
func (s *shard) run(ctx context.Context) {
	select {
	case <-s.layer.known:
	case <-ctx.Done():
		return
	}
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
	attempt, deaf, wasDeaf := 0, false, false
	for ctx.Err() == nil {
		up, err := s.subscribe(ctx)
		s.current.Store(nil)
		s.groups.disconnect()
		s.echoes.failAll()
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errRenamed):
			continue
		}
		if up > time.Second {
			attempt = 0
		}
		if !errors.Is(err, redis.ErrMoved) || attempt >= maxMoves {
			s.setHealth(subscribing, err)
		}
		if deaf = errors.Is(err, errNoEcho); deaf {
			s.renewPublishing(ctx, wasDeaf)
		}
		wasDeaf = deaf
		backoff(ctx, attempt)
		attempt++
	}
}

// renewPublishing makes the pipeline use other connections: it may be connected to a server that
// is no longer the master. Such a connection reports no error. Other shards suffer if all
// connections are dialed again, so in Redis Cluster that is the second attempt.
func (s *shard) renewPublishing(ctx context.Context, again bool) {
	if len(s.layer.shards) > 1 && !again {
		s.client.Reroute(ctx, s.index)
		return
	}
	s.client.Redial()
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
