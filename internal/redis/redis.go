// Package redis is everything that dies with Redis: the channel layer, which
// carries payloads between replicas, the last known positions, tickets, and the
// counting of attempts. Payloads are bytes to it; it refuses to know what is in
// them, and to keep any of them while Redis is away.
//
// The library's own habits are kept out of the way: no retries (a retried
// PUBLISH is a message twice, out of order), no silent re-subscription, and no
// time-out above [timeout].
package redis

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	goredis "github.com/redis/go-redis/v9"
	goredislog "github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// timeout bounds a dial, a write, a read, and a whole pipeline: a Redis that has
// stalled holds nothing for longer.
const timeout = 2 * time.Second

// Options says where Redis is and what is ours in it. The zero value of a field
// is its default.
type Options struct {
	// URL is redis://user:password@host:port/db, or rediss:// for TLS. In the
	// modes sentinel and cluster it may list several hosts, comma-separated. The
	// credentials are those of Redis; ?sentinel_username= and ?sentinel_password=
	// are those of the sentinels.
	URL string
	// Mode is standalone (the default), sentinel or cluster.
	Mode string
	// MasterName is the name of the monitored master, in mode sentinel.
	MasterName string
	// Prefix begins every key and channel. Replicas with different prefixes do
	// not hear each other. Default: "roomspa:".
	Prefix string
	// Replica is how this replica is called in CLIENT LIST.
	Replica string
	// PositionTTL is how long a position is kept, by the clock of Redis.
	// Default: 120 s.
	PositionTTL time.Duration
	// PoolSize bounds the connections to each Redis server, beside one that
	// publishes and one that subscribes. Default: 8.
	PoolSize int
}

// A Client is one replica's use of Redis.
type Client struct {
	// Layer carries payloads between replicas. It works while its Run does.
	Layer *Layer
	// Positions keeps the last position of each sender. It saves while the
	// layer's Run does.
	Positions *Positions
	// Tickets stand for a token once.
	Tickets *Tickets
	// Throttle counts attempts across replicas.
	Throttle *Throttle
	// Stories keeps the stories of failed connections.
	Stories *Stories

	redis   goredis.UniversalClient
	address string
	probe   string // the key that Write writes
}

// Open checks the options and returns a client that has not connected yet: Redis
// need not be there. No error contains a password.
func Open(o Options, log *slog.Logger, reg prometheus.Registerer) (*Client, error) {
	quiet()
	o.Prefix = cmp.Or(o.Prefix, "roomspa:")
	o.PositionTTL = cmp.Or(o.PositionTTL, 120*time.Second)
	universal, err := o.universal()
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	c := &Client{redis: goredis.NewUniversalClient(universal), address: address(universal), probe: o.Prefix + "probe:" + o.Replica}
	lines := &lines{}
	if cluster, ok := c.redis.(*goredis.ClusterClient); ok {
		cluster.OnNewNode(func(node *goredis.Client) { node.AddHook(lines) })
	} else {
		c.redis.AddHook(lines)
	}
	m := newMetrics(reg, c.redis)
	c.Layer = newLayer(o, c.redis, lines, log, m)
	c.Positions = &Positions{prefix: o.Prefix, ttl: o.PositionTTL, redis: c.redis, publisher: c.Layer.publisher, metrics: m}
	c.Tickets = &Tickets{prefix: o.Prefix, redis: c.redis, metrics: m}
	c.Throttle = newThrottle(o.Prefix, c.redis)
	c.Stories = &Stories{prefix: o.Prefix, redis: c.redis}
	return c, nil
}

// Address returns where Redis is, without secrets.
func (c *Client) Address() string { return c.address }

// Ping asks Redis for a sign of life. It returns within [timeout].
func (c *Client) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := c.redis.Ping(ctx).Err(); err != nil {
		return unavailable("PING", c.greeted(ctx, err))
	}
	return nil
}

// Close closes all connections. Call it when the layer's Run has returned.
func (c *Client) Close() error {
	if err := c.redis.Close(); err != nil {
		return fmt.Errorf("close redis: %w", err)
	}
	return nil
}

// quiet stops the library from writing lines of its own to standard error, for
// the whole process: what it has to say comes back as errors, and is logged once.
var quiet = sync.OnceFunc(goredislog.Disable)

// defaults fills in what the URL has not said.
func (o *Options) defaults(u *goredis.UniversalOptions) {
	u.ClientName = clientName(o.Replica)
	u.DialTimeout = cmp.Or(u.DialTimeout, timeout)
	u.ReadTimeout = cmp.Or(u.ReadTimeout, timeout)
	u.WriteTimeout = cmp.Or(u.WriteTimeout, timeout)
	u.PoolSize = cmp.Or(o.PoolSize, u.PoolSize, 8)
	u.MaxActiveConns = u.PoolSize
	u.PoolTimeout = cmp.Or(u.PoolTimeout, timeout)
	u.ContextTimeoutEnabled = true // else a context's end would be ignored
	u.MaxRetries = -1
	u.DialerRetries = 1
	u.Protocol = 2 // RESP3's other pushes have no use here
	u.DisableIdentity = true
	u.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	// Pipelines have connections of their own, so that publishing never waits for
	// somebody who reads.
	u.PipelinePoolSize = 2
	u.PipelineReadBufferSize, u.PipelineWriteBufferSize = 64<<10, 64<<10
	u.ReadBufferSize, u.WriteBufferSize = 16<<10, 16<<10
}

// clientName makes a name that CLIENT SETNAME takes: printable, without spaces.
func clientName(replica string) string {
	name := []byte("roomspa")
	if replica != "" {
		name = append(append(name, '-'), replica...)
	}
	for i, b := range name {
		if b <= ' ' || b > '~' {
			name[i] = '_'
		}
	}
	return string(name)
}
