package redis

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// A Layer carries payloads between the members of groups, wherever they are: it
// publishes through one connection to Redis and hears through another, always,
// also what goes to a member of the same replica. It may lose payloads, and says
// so to every member that may have been concerned; it hands over none twice, and
// those of one replica in the order in which they were published.
//
// All methods may be called by several goroutines.
type Layer struct {
	prefix    string
	id        string // of this layer, unlike any other
	redis     goredis.UniversalClient
	lines     *lines
	metrics   *metrics
	health    *health
	publisher *publisher
	groups    *groups
	log       *slog.Logger
	warned    sync.Once
	dialed    bool // a subscriber, once at least; stayConnected's own

	born    time.Time // echoes count from here
	echoes  echoes
	current atomic.Pointer[subscriber] // nil while there is no connection
	down    chan struct{}              // the publisher has failed: probe soon
	stopped chan struct{}
}

func newLayer(o Options, client goredis.UniversalClient, l *lines, log *slog.Logger, m *metrics) *Layer {
	layer := &Layer{
		prefix: o.Prefix, id: rand.Text()[:12], redis: client, lines: l, metrics: m, log: log,
		groups: newGroups(m), born: time.Now(), down: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
	layer.health = newHealth(log, func(up bool) {
		m.up.Set(map[bool]float64{true: 1}[up])
	})
	layer.publisher = newPublisher(newPipeline(client, layer.id), m, func(err error) {
		layer.set(speaking, err)
		if err != nil {
			select {
			case layer.down <- struct{}{}:
			default:
			}
		}
	})
	return layer
}

// Run keeps the layer subscribed and publishing until ctx ends. Then it sends
// what was handed in, for a few seconds at most, and returns; joins that wait
// and later publishes fail. Call it once.
func (l *Layer) Run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { l.publisher.queue.Run(ctx) })
	all.Go(func() { l.beat(ctx) })
	all.Go(func() { l.stayConnected(ctx) })
	all.Wait()
	l.health.stop()
	l.publisher.down.Store(&errStopped)
	close(l.stopped)
}

// Publish hands payload to every member of the group, on every replica. It
// neither blocks nor copies payload, which must not change any more. Payloads
// are published in the order in which they were handed in.
//
// done, which may be nil and must not block, is called once: with nil when Redis
// has taken the payload, or with an error that wraps [room.ErrUnavailable]. That
// is at once, before Publish returns, while Redis is known to be away or too
// much waits; else within two seconds or so, and then the payload may have been
// delivered nevertheless.
func (l *Layer) Publish(group string, payload []byte, done func(error)) {
	l.publisher.submit(op{kind: publish, name: l.prefix + group, payload: payload, done: done})
}

// Health returns since when the layer is up, where the error is nil, or since
// when it is down and why.
func (l *Layer) Health() (since time.Time, err error) { return l.health.get() }

// Check asks Redis for a PING, and then for a message of its own to come back
// over the subscriber's connection. It returns within four seconds; the error
// says which of the two failed and why, and wraps [room.ErrUnavailable].
func (l *Layer) Check(ctx context.Context) error {
	ping, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := l.redis.Ping(ping).Err(); err != nil {
		return unavailable("PING", err)
	}
	ctx, cancel = context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := l.health.part(hearing); err != nil {
		return unavailable("subscribe", err)
	}
	back := make(chan error, 1)
	forget := l.probe(func(err error) { back <- err })
	defer forget()
	select {
	case err := <-back:
		return err
	case <-ctx.Done():
		return unavailable("hear own message", fmt.Errorf("it did not come back within %v", timeout))
	}
}
