// Package app is one replica: it wires the parts together, starts them, and stops
// them in the right order. It reads neither flags nor the environment, so two
// replicas can live in one process.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/roomspa/roomspa/internal/api"
	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/chat"
	"github.com/roomspa/roomspa/internal/fleet"
	"github.com/roomspa/roomspa/internal/handshake"
	"github.com/roomspa/roomspa/internal/idlecuts"
	"github.com/roomspa/roomspa/internal/location"
	"github.com/roomspa/roomspa/internal/memory"
	"github.com/roomspa/roomspa/internal/ops"
	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/rebalance"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/revocation"
	"github.com/roomspa/roomspa/internal/session"
	"github.com/roomspa/roomspa/internal/story"
)

// What the seams promise, the stores keep.
var (
	_ chat.Store         = (*postgres.DB)(nil)
	_ chat.Layer         = (*redis.Layer)(nil)
	_ location.Layer     = (*redis.Layer)(nil)
	_ location.Positions = (*redis.Positions)(nil)
	_ handshake.Users    = (*postgres.DB)(nil)
	_ handshake.Tokens   = (*auth.Keys)(nil)
	_ handshake.Tickets  = (*redis.Tickets)(nil)
	_ api.Accounts       = (*postgres.DB)(nil)
	_ api.SignIns        = (*postgres.DB)(nil)
	_ api.Revocations    = (*revocation.Revoker)(nil)
	_ api.Tickets        = (*redis.Tickets)(nil)
	_ api.Throttle       = (*redis.Throttle)(nil)
	_ revocation.Store   = (*postgres.DB)(nil)
	_ revocation.Sockets = (*session.Registry)(nil)
	_ rebalance.Sockets  = (*session.Registry)(nil)
	_ fleet.Layer        = (*redis.Layer)(nil)
	_ fleet.Store        = (*postgres.DB)(nil)
	_ api.Conversations  = (*postgres.DB)(nil)
	_ handshake.Stories  = (*story.Keeper)(nil)
)

// An App is one replica. Make one with [New], then Start it once and Stop it once.
type App struct {
	options   Options
	log       *slog.Logger
	db        *postgres.DB
	redis     *redis.Client
	sockets   *session.Registry
	chat      *chat.Chat
	rebalance *rebalance.Rebalancer
	fleet     *fleet.Fleet
	stories   *story.Keeper
	closes    *idlecuts.Watch
	passwords *auth.Passwords
	memory    *memory.Meter
	servers   []*server
	handlers  context.CancelFunc // ends what sockets' handlers work under
	running   [4]stage           // in the order in which they stop
}

// A server is a listener and what answers on it.
type server struct {
	http    *http.Server
	address string
	name    string
	ln      net.Listener
}

// A stage is a group of goroutines that end together.
type stage struct {
	name   string
	run    []func(context.Context)
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// New wires a replica. It connects to nothing: Postgres and Redis need not be up.
// An error names the option that is wrong, and holds no secret.
func New(o Options, version string, log *slog.Logger) (*App, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.Replica = o.Name()
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	meter, unmeasured := memory.New(int64(o.MemoryLimit), reg)
	if o.LoginConcurrency == 0 {
		o.LoginConcurrency = auth.Concurrency(meter.Limit())
	}
	a := &App{options: o, log: log, memory: meter, passwords: auth.QueuePasswords(o.LoginConcurrency, o.LoginQueue)}
	if unmeasured != nil {
		a.say(slog.LevelWarn, "Memory is not watched, and the kernel may end this replica without a refusal before: "+unmeasured.Error())
	}
	a.passwords.Within(meter.Has)
	secrets, keys, err := o.secrets(log, reg)
	if err != nil {
		return nil, err
	}
	set, err := o.jwks(log, reg)
	if err != nil {
		return nil, fmt.Errorf("--jwks: %w", err)
	}
	keys = keys.With(set)
	if a.db, err = postgres.Open(context.Background(), o.postgres(), log, reg); err != nil {
		return nil, fmt.Errorf("--database-url: %w", err)
	}
	if a.redis, err = redis.Open(o.redis(), log, reg); err != nil {
		a.db.Close()
		return nil, fmt.Errorf("--redis-url: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.handlers = cancel
	a.stories = story.NewKeeper(o.Replica, a.redis.Stories, log, reg)
	a.closes = idlecuts.New(log, reg)
	limits := o.session()
	limits.TokenLeeway, limits.Renew, limits.Ended, limits.Memory = auth.Leeway, renew(keys), a.ended, meter.Share
	a.sockets = session.NewRegistry(ctx, limits, reg)
	a.chat = chat.New(chat.Options{MaxMessageLength: o.MaxMessageLength}, a.db, a.redis.Layer, reg)
	place := location.New(a.redis.Layer, a.redis.Positions, reg)
	sockets := handshake.New(ctx, handshake.Options{
		Replica: o.Replica, Origins: o.Origins, TrustedProxies: o.TrustedProxies,
		MaxHandshakes: o.MaxHandshakes, LogMask: o.LogMask, Tickets: a.redis.Tickets, Stories: a.stories,
	}, a.sockets, keys, a.db, []handshake.Endpoint{
		{Name: "chat", Component: "ChatConsumer", New: func(p handshake.Peer) handshake.Consumer {
			return a.chat.NewConsumer(chat.Peer{User: p.User, Room: p.Room, Since: p.Since}, p.Session)
		}},
		{Name: "location", Component: "LocationConsumer", New: func(p handshake.Peer) handshake.Consumer {
			return place.NewConsumer(p.User, p.Room, p.Session)
		}},
	}, log, reg)
	who := func(r *http.Request) (ref, remote string) {
		return story.NewRef(), handshake.Remote(r, o.TrustedProxies)
	}
	a.fleet = fleet.New(o.Replica, keys.Fingerprints, a.redis.Layer, a.db, log, reg)
	revoker := revocation.New(a.fleet, a.db, a.sockets, 0, log, reg)
	probe := a.probe(reg)
	a.rebalance = a.newRebalancer(probe, reg)
	a.servers = []*server{
		{name: "public", address: o.Listen, http: httpServer(route(sockets, api.CORS(o.Origins, who, log, a.plain(keys, revoker, who, reg))), log)},
		{name: "ops", address: o.OpsListen, http: httpServer(ops.New(ops.Options{
			Replica: o.Replica, Version: version, Gatherer: reg, Draining: a.sockets.Draining, Probe: probe, Stories: a.stories,
			Closes: func() any { return a.closes.Report(time.Now()) },
		}), log)},
	}
	a.running[0] = stage{name: "sweepers", run: []func(context.Context){a.sockets.Run, a.chat.Run, revoker.Run, secrets.Run, set.Run, probe.Watch, a.rebalance.Run, a.fleet.Run}}
	a.running[1] = stage{name: "postgres", run: []func(context.Context){a.db.Run}}
	a.running[2] = stage{name: "stories", run: []func(context.Context){a.stories.Run}}
	a.running[3] = stage{name: "redis", run: []func(context.Context){a.redis.Layer.Run}}
	return a, nil
}

func httpServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       20 * time.Second, // of plain requests; a socket's deadlines are its own
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.With("component", "HTTP").Handler(), slog.LevelDebug),
	}
}

func (o *Options) postgres() postgres.Options {
	return postgres.Options{
		URL: o.DatabaseURL, MaxConnections: o.DatabaseMaxConnections, AcquireTimeout: o.DatabaseAcquireTimeout,
		StatementTimeout: o.DatabaseStatementTimeout, LockTimeout: o.DatabaseLockTimeout, PgBouncer: o.DatabasePooler == "pgbouncer",
	}
}

func (o *Options) redis() redis.Options {
	return redis.Options{
		URL: o.RedisURL, Mode: o.RedisMode, MasterName: o.RedisMasterName, Prefix: o.RedisPrefix,
		Replica: o.Replica, PositionTTL: o.PositionTTL,
	}
}

func (o *Options) session() session.Options {
	return session.Options{
		MaxMessageBytes: o.MaxMessageBytes, MessageRate: o.MessageRate, MessageBurst: o.MessageBurst,
		PingInterval: o.PingInterval, PongTimeout: o.PongTimeout, WriteTimeout: o.WriteTimeout,
		SoftLimit: o.SoftLimit, HardLimit: o.HardLimit,
	}
}

// probe is what /readyz looks at.
func (a *App) probe(reg prometheus.Registerer) *ops.Probe {
	const limit = 3 * time.Second
	return ops.NewProbe(a.log, reg,
		ops.Check{Name: "postgres", Run: func(ctx context.Context) (string, error) {
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			s, err := a.db.Probe(ctx)
			if s.Server == "" {
				return "", err
			}
			return fmt.Sprintf("PostgreSQL %s, schema version %d", s.Server, s.Schema), err
		}},
		ops.Check{Name: "redis", Run: func(ctx context.Context) (string, error) {
			return "PING " + a.redis.Address(), a.redis.Ping(ctx)
		}, Doubt: a.redis.Write},
		ops.Check{Name: "channel_layer", Run: func(ctx context.Context) (string, error) {
			if _, err := a.redis.Layer.Health(); err != nil {
				return "", err
			}
			return "an own message came back over the subscription", a.redis.Layer.Check(ctx)
		}},
		ops.Check{Name: "replicas", Run: func(context.Context) (string, error) {
			return a.fleet.Summary(), nil // a replica that the others do not hear serves its own sockets
		}, Doubt: func(context.Context) error { return a.fleet.Finding() }},
	)
}

// HashWith lets processes of a command work on passwords, so that sign-ins take
// neither memory nor processors from the sockets. The command calls
// [auth.ServePasswords] on its standard input and output. Call it before Start.
func (a *App) HashWith(command ...string) { a.passwords.Delegate(command, a.log) }

// listen opens a server's listener. The public one may speak the PROXY protocol.
func (a *App) listen(s *server) error {
	ln, err := net.Listen("tcp", s.address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", s.address, portHint(err))
	}
	if s.name == "public" && a.options.ProxyProtocol {
		trusted := make([]string, len(a.options.TrustedProxies))
		for i, p := range a.options.TrustedProxies {
			trusted[i] = p.String()
		}
		policy, err := proxyproto.PolicyFromRanges(trusted, proxyproto.USE, proxyproto.IGNORE)
		if err != nil {
			return errors.Join(fmt.Errorf("--trusted-proxies: %w", err), ln.Close())
		}
		ln = &proxyproto.Listener{Listener: ln, ConnPolicy: policy, ReadHeaderTimeout: 5 * time.Second}
	}
	s.ln = ln
	return nil
}

func portHint(err error) error {
	if strings.Contains(err.Error(), "address already in use") {
		return fmt.Errorf("%w: another program has the port; stop it, or choose another one with --listen and --ops-listen", err)
	}
	return err
}
