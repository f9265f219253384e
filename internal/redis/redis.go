// Package redis hides go-redis. It owns everything that is specific to Redis: dialing
// and URLs, errors and their causes, the ordered command pipeline, subscriptions, and
// what replicas store: positions, tickets, throttles, stories and presence. It owns the names of keys
// and channels, and seals what is stored: see package event. It knows no groups: package
// channel builds the channel layer on it. No payloads are kept while Redis is unavailable.
//
// Three habits of go-redis are switched off: retries (a retried PUBLISH is a second
// message, out of order), silent re-subscription, and waits longer than
// [Options.Timeout].
package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	goredis "github.com/redis/go-redis/v9"
	goredislog "github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/roomspa/roomspa/internal/certs"
	"github.com/roomspa/roomspa/internal/event"
)

// Options configure a [Client]. The zero value of a field means its default.
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
	// Prefix is the beginning of every key and channel. Replicas with different
	// prefixes do not hear each other. Default: "roomspa:".
	Prefix string
	// Log receives a line for events that were dropped. Default: none.
	Log *slog.Logger
	// Replica is the name of this replica in CLIENT LIST.
	Replica string
	// PositionTTL is how long Redis keeps a position. Default: 120 s.
	PositionTTL time.Duration
	// PoolSize is the maximum number of pooled connections to each Redis server.
	// Pipelines, subscriptions and checks have connections of their own. Default: 8.
	PoolSize int
	// TLS are the files of certificates. They need a rediss:// URL.
	TLS certs.Files
	// Timeout bounds a dial, a read, a write, and a whole command or pipeline.
	// Default: 2 s.
	Timeout time.Duration
}

// checkConns is the number of connections that are reserved for Ping and CheckWrite, so that a
// replica whose commands wait for each other does not seem to have lost Redis. Two of them may
// be used at the same time: /readyz and the log check apart from each other.
const checkConns = 2

// A Client is one replica's access to Redis. Its methods may be called concurrently.
type Client struct {
	// Pipelines send commands in order, one for each shard. Each works while its Run runs.
	Pipelines []*Pipeline
	// Positions stores the last position of each sender. It saves through Pipelines.
	Positions *Positions
	// Tickets stores one-time replacements for tokens.
	Tickets *Tickets
	// Throttle counts attempts across replicas.
	Throttle *Throttle
	// Stories stores the stories of failed connections.
	Stories *Stories
	// Presence stores on which replicas users are online.
	Presence *Presence

	redis    goredis.UniversalClient
	checks   goredis.UniversalClient // of Ping and CheckWrite: no other command takes its connections
	conns    connections
	process  *event.Process
	drops    drops
	log      *slog.Logger
	metrics  *metrics
	target   atomic.Pointer[target] // for new connections
	sharding sharding

	publishing atomic.Pointer[Publishing]

	noInfo   atomic.Bool // an ACL denies INFO
	evicted  evictions
	found    findings // after failures
	address  string
	database int
	prefix   string
	replica  string
	timeout  time.Duration
}

// Open validates the options and returns a client. It does not connect: Redis need not
// be up. Errors contain no password. Metrics are registered with reg unless it is nil.
func Open(o Options, reg prometheus.Registerer) (*Client, error) {
	disableLibraryLog()
	o.Prefix = cmp.Or(o.Prefix, "roomspa:")
	o.PositionTTL = cmp.Or(o.PositionTTL, 120*time.Second)
	o.Timeout = cmp.Or(o.Timeout, 2*time.Second)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	universal, err := o.universal()
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	c := &Client{
		address: address(universal), database: universal.DB,
		process: event.NewProcess(), log: o.Log, prefix: o.Prefix, replica: o.Replica, timeout: o.Timeout,
	}
	c.target.Store(newTarget(o, universal))
	c.useTarget(universal)
	reserved := *universal
	reserved.PoolSize, reserved.MaxActiveConns, reserved.MinIdleConns = checkConns, checkConns, 0
	c.redis, c.checks = goredis.NewUniversalClient(universal), goredis.NewUniversalClient(&reserved)
	for _, client := range []goredis.UniversalClient{c.redis, c.checks} {
		if cluster, ok := client.(*goredis.ClusterClient); ok {
			cluster.OnNewNode(func(node *goredis.Client) { node.AddHook(&c.conns) })
		} else {
			client.AddHook(&c.conns)
		}
	}
	c.metrics = newMetrics(reg, c.redis)
	c.publishing.Store(&Publishing{Plain: true})
	c.Pipelines = make([]*Pipeline, 1)
	if c.isCluster() {
		c.Pipelines = make([]*Pipeline, tags)
	}
	load := &load{}
	for i := range c.Pipelines {
		c.Pipelines[i] = newPipeline(c, load)
	}
	c.Positions = &Positions{client: c, ttl: o.PositionTTL}
	c.Tickets = &Tickets{client: c}
	c.Throttle = &Throttle{client: c}
	c.Stories = &Stories{client: c}
	c.Presence = &Presence{client: c}
	return c, nil
}

func (c *Client) isCluster() bool {
	_, is := c.redis.(*goredis.ClusterClient)
	return is
}

// Address returns the address of Redis, without credentials.
func (c *Client) Address() string { return c.address }

// Database returns the number of the database.
func (c *Client) Database() int { return c.database }

// Prefix returns the beginning of every key and channel.
func (c *Client) Prefix() string { return c.prefix }

// Timeout returns [Options.Timeout] or its default.
func (c *Client) Timeout() time.Duration { return c.timeout }

// Redial closes all connections. Commands in flight fail, and later commands dial
// again, so that they resolve names and ask the sentinels again.
func (c *Client) Redial() {
	for _, p := range c.Pipelines {
		p.sender.reroute()
	}
	c.conns.closeAll()
}

// Close closes all connections. Call it after the Run of each pipeline has returned.
func (c *Client) Close() error {
	if err := errors.Join(c.checks.Close(), c.redis.Close()); err != nil {
		return fmt.Errorf("close redis: %w", err)
	}
	return nil
}

func (c *Client) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.timeout)
}

// disableLibraryLog stops go-redis from writing to standard error, in the whole
// process. The same facts come back as errors, which are logged once.
var disableLibraryLog = sync.OnceFunc(goredislog.Disable)

// defaults sets what the URL leaves open.
func (o *Options) defaults(u *goredis.UniversalOptions) {
	u.DialTimeout = cmp.Or(u.DialTimeout, o.Timeout)
	u.ReadTimeout = cmp.Or(u.ReadTimeout, o.Timeout)
	u.WriteTimeout = cmp.Or(u.WriteTimeout, o.Timeout)
	u.PoolSize = cmp.Or(o.PoolSize, u.PoolSize, 8)
	u.MaxActiveConns = u.PoolSize
	u.PoolTimeout = cmp.Or(u.PoolTimeout, o.Timeout)
	u.ContextTimeoutEnabled = true // without it go-redis ignores the end of a context
	u.MaxRetries = -1
	u.DialerRetries = 1
	u.Protocol = 2 // the additional pushes of RESP3 are not used
	u.DisableIdentity = true
	u.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	// Pipelines get a pool of their own, so that publishing never waits for reads.
	u.PipelinePoolSize = 2
	if u.IsClusterMode {
		u.PipelinePoolSize = tags / 2 // each tag has a pipeline, and one node may serve most tags
	}
	u.PipelineReadBufferSize, u.PipelineWriteBufferSize = 64<<10, 64<<10
	u.ReadBufferSize, u.WriteBufferSize = 16<<10, 16<<10
}

// clientName returns a name that CLIENT SETNAME accepts: printable, without spaces.
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
