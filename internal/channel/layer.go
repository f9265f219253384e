// Package channel is the channel layer: it carries events between the members of groups
// on all replicas of a deployment, through Redis Pub/Sub. It owns groups and their members,
// the confirmation of joins, the report of gaps, and the health of the layer. It seals what
// is published and opens what is received, see package event. No events are kept while
// Redis is unavailable.
package channel

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/room"
)

// A Layer carries events between the members of groups, on this and other replicas. All
// events go through Redis, also those for members on the same replica. The layer may lose
// events, and tells every member that may have missed some. It delivers no event twice
// by itself, and delivers those of one replica to one group in the order of publishing. There is one
// exception: when the kind of Pub/Sub changes in Redis Cluster, the last ones may come again.
//
// In Redis Cluster each hash tag has a shard of its own, with a pipeline and a subscription, which
// fail and recover apart from the others. Otherwise there is one shard.
//
// Its methods may be called concurrently.
type Layer struct {
	client  *redis.Client
	metrics *metrics
	health  *health
	shards  []*shard
	known   chan struct{} // closed when the deployment is known
	stopped chan struct{} // closed when Run has returned
	pubsub  pubsub

	hold, flush func() // see [Layer.Around]
	deployments deployments
}

// New returns a layer that works while its Run runs, once [Layer.Use] was called. Metrics are registered with reg
// unless it is nil.
func New(client *redis.Client, log *slog.Logger, reg prometheus.Registerer) *Layer {
	m := newMetrics(reg)
	l := &Layer{
		client: client, metrics: m, health: newHealth(log, m, client.Shards()),
		known: make(chan struct{}), stopped: make(chan struct{}),
		hold: func() {}, flush: func() {},
		pubsub: pubsub{log: log}, deployments: deployments{channel: client.Prefix() + "deployments"},
	}
	for i := range client.Shards() {
		l.shards = append(l.shards, newShard(l, i))
	}
	return l
}

// Around makes the layer call hold before it delivers an event to the members of a group, and flush
// afterwards. Neither may block. It must be called before Run.
func (l *Layer) Around(hold, flush func()) { l.hold, l.flush = hold, flush }

func (l *Layer) shardOf(group string) *shard { return l.shards[l.client.ShardOf(group)] }

// Use sets the deployment that the layer belongs to. Before the first call the layer is
// down. If a later call changes the deployment or its timeline, the layer leaves all
// channels, subscribes to the new ones, and then tells every member so, by missed(true).
// Calls must not overlap.
func (l *Layer) Use(d event.Deployment) {
	before := l.client.Ring()
	l.client.Use(d)
	switch {
	case before == nil:
		close(l.known)
	case !before.Same(&d):
		l.resubscribe()
	}
}

// Run keeps the layer subscribed and publishing until ctx ends. Then it sends what is
// still queued, which takes a few seconds at most, and returns. Waiting joins and later
// publishes fail. Call it once.
func (l *Layer) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, s := range l.shards {
		all.Go(func() { s.run(ctx) })
	}
	all.Wait()
	l.health.stop()
	close(l.stopped)
}

// resubscribe makes every shard give up its subscription and make another one, with the names
// and the kind of Pub/Sub that are in use now.
func (l *Layer) resubscribe() {
	for _, s := range l.shards {
		select {
		case s.reconnect <- struct{}{}:
		default:
		}
	}
}

// Publish sends an event to every member of the group, on every replica. It does not
// block. Events are published in the order of the calls.
//
// done may be nil and must not block. It is called once: with nil when Redis has
// accepted the event, or with an error that wraps [room.ErrUnavailable]. While Redis
// is known to be unavailable or the queue is full, that is before Publish returns.
// Otherwise it is after about two seconds at most, and the event may have been
// delivered in spite of the error.
func (l *Layer) Publish(group string, body event.Body, done func(error)) {
	ring := l.client.Ring()
	if ring == nil {
		if done != nil {
			done(unavailable("publish to "+group, errNoDeployment))
		}
		return
	}
	name := l.client.Name(&ring.Deployment, group)
	l.shardOf(group).pipeline.Publish(name, ring.Seal(nil, name, time.Now(), body), done)
}

// Announce publishes one event to a group. It is for commands, which run no layer. Errors
// wrap [room.ErrUnavailable].
func Announce(ctx context.Context, client *redis.Client, group string, body event.Body) error {
	return client.Publish(ctx, group, body) //nolint:wrapcheck // it names the operation
}

// Health returns the time since when the layer is up and nil, or the time since when it
// is down and the cause. It performs no I/O.
func (l *Layer) Health() (since time.Time, err error) { return l.health.get() }

// Started is closed when the first attempt to connect to Redis has ended.
func (l *Layer) Started() <-chan struct{} { return l.health.started }

// Check sends PING to Redis, then publishes an echo in each shard and waits for all. It returns within
// twice the timeout of the client. Errors wrap [room.ErrUnavailable].
func (l *Layer) Check(ctx context.Context) error {
	if err := l.client.Ping(ctx); err != nil {
		return err //nolint:wrapcheck // it names the operation
	}
	ctx, cancel := context.WithTimeout(ctx, l.client.Timeout())
	defer cancel()
	if err := l.health.part(subscribing); err != nil {
		return unavailable("subscribe", err)
	}
	received := make(chan error, len(l.shards))
	for _, s := range l.shards {
		defer s.awaitEcho(func(err error) { received <- err })()
	}
	for range l.shards {
		select {
		case err := <-received:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return unavailable("receive own echo", fault{fmt.Errorf("not received within %v", l.client.Timeout()), causeOther})
		}
	}
	return nil
}

// unavailable returns an error that names the attempted operation and the reason.
func unavailable(attempt string, reason error) error {
	return fmt.Errorf("%s: %w: %w", attempt, room.ErrUnavailable, reason)
}
