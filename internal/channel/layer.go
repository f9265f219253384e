// Package channel is the channel layer: it carries payloads between the members of
// groups on all replicas, through Redis Pub/Sub. It owns groups and their members, the
// confirmation of joins, the report of gaps, and the health of the layer. Payloads are
// opaque bytes, and none are kept while Redis is unavailable.
package channel

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/room"
)

// A Layer carries payloads between the members of groups, on this and other replicas.
// All payloads go through Redis, also those for members on the same replica. The layer
// may lose payloads, and tells every member that may have missed some. It delivers no
// payload twice, and delivers those of one replica in the order of publishing.
//
// Its methods may be called concurrently.
type Layer struct {
	prefix  string
	client  *redis.Client
	metrics *metrics
	health  *health
	shard   *shard
}

// New returns a layer that works while its Run runs. Metrics are registered with reg
// unless it is nil.
func New(client *redis.Client, log *slog.Logger, reg prometheus.Registerer) *Layer {
	m := newMetrics(reg)
	h := newHealth(log, m)
	return &Layer{prefix: client.Prefix(), client: client, metrics: m, health: h, shard: newShard(client, h, log, m)}
}

// Run keeps the layer subscribed and publishing until ctx ends. Then it sends what is
// still queued, which takes a few seconds at most, and returns. Waiting joins and later
// publishes fail. Call it once.
func (l *Layer) Run(ctx context.Context) {
	l.shard.run(ctx)
	l.health.stop()
	close(l.shard.stopped)
}

// Publish sends payload to every member of the group, on every replica. It neither
// blocks nor copies payload, which must not change any more. Payloads are published in
// the order of the calls.
//
// done may be nil and must not block. It is called once: with nil when Redis has
// accepted the payload, or with an error that wraps [room.ErrUnavailable]. While Redis
// is known to be unavailable or the queue is full, that is before Publish returns.
// Otherwise it is after about two seconds at most, and the payload may have been
// delivered in spite of the error.
func (l *Layer) Publish(group string, payload []byte, done func(error)) {
	l.shard.pipeline.Publish(l.prefix+group, payload, done)
}

// Announce publishes one payload to a group. It is for commands, which run no layer.
// Errors wrap [room.ErrUnavailable].
func Announce(ctx context.Context, client *redis.Client, group string, payload []byte) error {
	return client.Publish(ctx, client.Prefix()+group, payload) //nolint:wrapcheck // it names the operation
}

// Health returns the time since when the layer is up and nil, or the time since when it
// is down and the cause. It performs no I/O.
func (l *Layer) Health() (since time.Time, err error) { return l.health.get() }

// Check sends PING to Redis, then publishes an echo and waits for it. It returns within
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
	received := make(chan error, 1)
	forget := l.shard.awaitEcho(func(err error) { received <- err })
	defer forget()
	select {
	case err := <-received:
		return err
	case <-ctx.Done():
		return unavailable("receive own echo", fault{fmt.Errorf("not received within %v", l.client.Timeout()), causeOther})
	}
}

// unavailable returns an error that names the attempted operation and the reason.
func unavailable(attempt string, reason error) error {
	return fmt.Errorf("%s: %w: %w", attempt, room.ErrUnavailable, reason)
}
