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

// A shard is one command pipeline and one subscription, with the groups that use them.
// The subscription is replaced whenever it is lost.
type shard struct {
	client   *redis.Client
	pipeline *redis.Pipeline
	silence  time.Duration // without an event or an echo before a connection counts as lost
	metrics  *metrics
	health   *health
	groups   *groups
	echoes   echoes

	hold, flush func() // see [Layer.Around]

	current    atomic.Pointer[subscriber] // nil while there is no connection
	subscribes bool                       // a connection has been made before; only for stayConnected
	failed     chan struct{}              // the pipeline went down: send the next heartbeat soon
	stopped    chan struct{}

	deployments deployments
	known       chan struct{}    // closed when the deployment is known
	subscribed  event.Deployment // of the last connection with all groups; only for onSubscribed
	reconnect   chan struct{}    // holds a value if the current subscriber has the wrong names
}

func newShard(client *redis.Client, h *health, m *metrics) *shard {
	silence := client.Timeout() * 3 / 2 // three heartbeats, at the default of 2 s
	return &shard{
		hold: func() {}, flush: func() {},
		client: client, pipeline: client.Pipeline, silence: silence, metrics: m, health: h,
		groups: newGroups(m, silence), echoes: echoes{start: time.Now()}, failed: make(chan struct{}, 1), stopped: make(chan struct{}),
		deployments: deployments{channel: client.Prefix() + "deployments"}, known: make(chan struct{}), reconnect: make(chan struct{}, 1),
	}
}

// run returns after ctx has ended and the pipeline has sent what was queued. Until the
// deployment is known there is nothing to do: no name is.
func (s *shard) run(ctx context.Context) {
	select {
	case <-s.known:
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
	attempt := 0
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

// rename makes the shard leave all channels and subscribe to those of the deployment that is
// in use now.
func (s *shard) rename() {
	select {
	case s.reconnect <- struct{}{}:
	default:
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
