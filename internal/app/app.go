// Package app is one replica: it wires the parts together, runs them, and stops them
// in order. It reads neither flags nor the environment and has no global state, so
// several replicas can run in one process.
package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/roomspa/roomspa/internal/api"
	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/block"
	"github.com/roomspa/roomspa/internal/budget"
	"github.com/roomspa/roomspa/internal/channel"
	"github.com/roomspa/roomspa/internal/chat"
	"github.com/roomspa/roomspa/internal/console"
	"github.com/roomspa/roomspa/internal/dialect"
	"github.com/roomspa/roomspa/internal/echo"
	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/failure"
	"github.com/roomspa/roomspa/internal/fleet"
	"github.com/roomspa/roomspa/internal/handshake"
	"github.com/roomspa/roomspa/internal/idlecuts"
	"github.com/roomspa/roomspa/internal/inbox"
	"github.com/roomspa/roomspa/internal/inspect"
	"github.com/roomspa/roomspa/internal/listen"
	"github.com/roomspa/roomspa/internal/location"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/memory"
	"github.com/roomspa/roomspa/internal/ops"
	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/presence"
	"github.com/roomspa/roomspa/internal/rebalance"
	"github.com/roomspa/roomspa/internal/receipt"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/revocation"
	"github.com/roomspa/roomspa/internal/session"
	"github.com/roomspa/roomspa/internal/story"
)

// The stores implement what their consumers ask for.
var (
	_ api.Receipts       = (*receipt.Receipts)(nil)
	_ api.Blocks         = (*block.Registry)(nil)
	_ api.Revocations    = (*revocation.Revoker)(nil)
	_ api.Store          = (*postgres.DB)(nil)
	_ api.Throttle       = (*redis.Throttle)(nil)
	_ api.Tickets        = (*redis.Tickets)(nil)
	_ block.Store        = (*postgres.DB)(nil)
	_ chat.Blocks        = (*block.Registry)(nil)
	_ chat.Layer         = (*channel.Layer)(nil)
	_ chat.Receipts      = (*receipt.Receipts)(nil)
	_ chat.Presence      = (*presence.Registry)(nil)
	_ chat.Store         = (*postgres.DB)(nil)
	_ dialect.Layer      = (*channel.Layer)(nil)
	_ dialect.Sender     = (*chat.Consumer)(nil)
	_ fleet.Layer        = (*channel.Layer)(nil)
	_ fleet.Store        = (*postgres.DB)(nil)
	_ handshake.Stories  = (*story.Recorder)(nil)
	_ handshake.Tickets  = (*redis.Tickets)(nil)
	_ handshake.Tokens   = (*auth.Keys)(nil)
	_ handshake.Users    = (*postgres.DB)(nil)
	_ inbox.Layer        = (*channel.Layer)(nil)
	_ inbox.Store        = (*postgres.DB)(nil)
	_ receipt.Layer      = (*channel.Layer)(nil)
	_ receipt.Store      = (*postgres.DB)(nil)
	_ location.Blocks    = (*block.Registry)(nil)
	_ location.Layer     = (*channel.Layer)(nil)
	_ location.Positions = (*redis.Positions)(nil)
	_ presence.Store     = (*redis.Presence)(nil)
	_ rebalance.Sockets  = (*session.Registry)(nil)
	_ revocation.Sockets = (*session.Registry)(nil)
	_ revocation.Store   = (*postgres.DB)(nil)
)

// An App is one replica. Make it with [New] and run it with [App.Run].
type App struct {
	options Options
	version string
	log     *slog.Logger
	reg     *prometheus.Registry

	strangers *logging.Strangers // the handler of log
	levels    *logging.Levels    // below it

	memory      *memory.Meter
	ownProcess  bool // the replica limits the heap of the process
	budget      *budget.Budget
	keys        *auth.Keys
	passwords   *auth.Passwords
	db          *postgres.DB
	redis       *redis.Client
	layer       *channel.Layer
	sockets     *session.Registry
	stories     *story.Recorder
	failures    failure.Log
	opsToken    atomic.Pointer[string]
	idleCuts    *idlecuts.Watch
	proxies     *listen.ProxyWatch
	receipts    *receipt.Receipts
	fleet       *fleet.Fleet
	presence    *presence.Registry
	rebalance   *rebalance.Rebalancer
	revocations *revocation.Revoker
	blocks      *block.Registry
	inspector   *inspect.Inspector
	monitor     *ops.Monitor

	limits      *listen.Limits
	public, ops *listen.Server
	tasks       [][]task // groups, in the order in which they start
	stack       stack    // what there is to stop

	ran     atomic.Bool
	started chan struct{}
	hurry   context.Context // ends with Hurry
	cut     context.CancelFunc
}

// New wires a replica. It connects to nothing: Postgres and Redis need not be up. An
// error names the option that is wrong and contains no secret.
func New(o Options, version string, log *slog.Logger) (*App, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.Replica = o.Name()
	reg := prometheus.NewRegistry()
	levels := logging.NewLevels(log.Handler())
	strangers := logging.NewStrangers(levels, reg)
	a := &App{options: o, version: version, log: slog.New(strangers), strangers: strangers, levels: levels, reg: reg, started: make(chan struct{})}
	for _, text := range o.Warnings() {
		a.logf(slog.LevelWarn, "Option may be wrong: %s", text)
	}
	a.hurry, a.cut = context.WithCancel(context.Background())
	a.reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a.measureMemory()
	reloads, err := a.loadKeys()
	if err == nil {
		err = a.openStores()
	}
	if err != nil {
		return nil, errors.Join(err, a.stop())
	}
	a.wire(append(reloads, a.storeReloads()...))
	return a, nil
}

// measureMemory sets up the memory limit, and the budget and the queue of passwords, which
// depend on it.
func (a *App) measureMemory() {
	var err error
	if a.memory, err = memory.New(cmp.Or(a.options.SystemRoot, "/"), int64(a.options.MemoryLimit), a.reg); err != nil {
		a.logf(slog.LevelWarn, "Memory is not measured, so the kernel may kill this replica before it refuses sockets: %v", err)
	}
	a.budget = newBudget(a.memory.Limit(), a.reg)
	a.passwords = auth.NewPasswords(a.loginConcurrency(), a.options.LoginQueue)
	a.passwords.CheckMemory(a.memory.Fits)
	a.stack.push("passwords", func(context.Context) error { a.passwords.Close(); return nil })
}

// loadKeys loads the keys that verify tokens. It returns the tasks that keep them fresh.
func (a *App) loadKeys() ([]task, error) {
	file, keys, err := a.options.Secrets(a.log, a.reg)
	if err != nil {
		return nil, err
	}
	set, err := a.options.KeySet(a.log, a.reg)
	if err != nil {
		return nil, err
	}
	a.keys = keys.WithJWKS(set)
	return []task{{"secret file", file.Run}, {"key set", set.Run}}, nil
}

func (a *App) openStores() (err error) {
	if a.db, err = postgres.Open(context.Background(), a.options.Postgres(), a.log, a.reg); err != nil {
		return fmt.Errorf("--database-url: %w", err)
	}
	a.stack.push("postgres pool", func(context.Context) error { a.db.Close(); return nil })
	o := a.options.Redis()
	o.Log = a.log
	if a.redis, err = redis.Open(o, a.reg); err != nil {
		return fmt.Errorf("--redis-url: %w", err)
	}
	a.stack.push("redis connections", func(context.Context) error { return a.redis.Close() })
	a.layer = channel.New(a.redis, a.log, a.reg)
	return nil
}

// wire builds everything that needs the stores.
func (a *App) wire(reloads []task) {
	o, reg := &a.options, a.reg
	handlers, cancel := context.WithCancel(context.Background()) // what the handlers of sockets work under
	a.stack.push("socket handlers", func(context.Context) error { cancel(); return nil })

	a.stories = story.NewRecorder(o.Replica, a.redis.Stories, a.log, reg)
	a.idleCuts = idlecuts.New(a.log, reg)
	a.proxies = listen.NewProxyWatch(o.TrustedProxies, a.log)
	a.limits = a.connectionLimits()
	a.sockets = session.NewRegistry(handlers, a.sessionOptions(), reg)
	a.layer.Around(a.sockets.Hold, a.sockets.Flush)
	a.fleet = fleet.New(o.Replica, a.redis.Process(), a.keys.Fingerprints, a.layer, a.db, a.log, reg)
	slow := inspect.NewSlowRooms()
	a.inspector = inspect.New(inspect.Options{
		Replica: o.Replica, Version: a.version, Sockets: a.sockets, Levels: a.levels, Gatherer: reg, Log: a.log,
	}, a.fleet, slow)
	a.fleet.Describe(a.version, a.db.Address(), o.Settings(a.redis))
	a.presence = presence.New(presence.Options{Off: o.Presence == "off"}, a.fleet, a.redis.Presence, reg)
	a.blocks = block.New(a.fleet, a.db, 0, a.log, reg)
	a.receipts = receipt.New(a.db, a.layer, a.presence.HasInbox, a.log, reg)
	inboxes := inbox.New(a.db, a.layer, a.receipts, a.presence, a.blocks, reg)
	chats := chat.New(chat.Options{
		MaxMessageLength: o.MaxMessageLength, Presence: a.presence, Blocks: a.blocks, Inboxes: inboxes, SupportMaySend: o.SupportMaySend,
		Failures: &a.failures, Slow: slow.Add,
	}, a.db, a.layer, a.receipts, reg)
	positions := location.Options{Blocks: a.blocks, Presence: a.presence, TherapistsOnly: o.therapistsOnly(), Failures: &a.failures}
	wrap := func(e endpoint.Endpoint) endpoint.Endpoint { return e }
	if o.ClassicClients {
		classic := dialect.New(a.layer, reg)
		positions.Passed, wrap = classic.Passed, classic.Wrap
	}
	locations := location.New(positions, a.layer, a.redis.Positions, reg)
	shakes := handshake.New(handlers, handshake.Options{
		Replica: o.Replica, Origins: o.Origins, TrustedProxies: o.TrustedProxies,
		MaxHandshakes: o.MaxHandshakes, LogMask: o.LogMask, Tickets: a.redis.Tickets, Stories: a.stories, Proxies: a.proxies,
		Limits: a.limits, Failures: &a.failures,
	}, a.sockets, a.keys, a.db, []endpoint.Endpoint{
		wrap(echo.Endpoint(o.Replica, func() string { return a.monitor.NotReady() })),
		wrap(chats.Endpoint()),
		wrap(locations.Endpoint()),
		inboxes.Endpoint(),
	}, a.log, reg)

	a.revocations = revocation.New(a.fleet, a.db, a.sockets, shakes.Recheck, 0, a.log, reg)
	a.monitor = ops.NewMonitor(a.log, reg, a.checks()...)
	a.rebalance = rebalance.New(rebalance.Options{
		Rate: o.RebalanceRate, Threshold: float64(o.RebalanceThreshold) / 100,
		Ready: a.monitor.Healthy,
		CheckReady: func(ctx context.Context) bool {
			_, ok := a.monitor.Check(ctx)
			return ok
		},
	}, a.fleet, a.sockets, a.log, reg)

	a.public = listen.New(listen.Options{
		Name: "public", Address: o.Listen, ProxyProtocol: o.ProxyProtocol, TrustedProxies: o.TrustedProxies,
		Handler: shakes.Route(a.api(shakes.Paths(), locations.Reporter())), Limits: a.limits, WriteTimeout: 30 * time.Second,
	}, a.log)
	a.ops = listen.New(listen.Options{
		Name: "ops", Address: o.OpsListen, Handler: a.opsHandler(), Relieve: a.limits, Reserve: true, WriteTimeout: 2 * time.Minute, // a profile takes long
	}, a.log)
	a.tasks = [][]task{
		{{"log", a.strangers.Run}, {"failures", a.failures.Run}},
		{{"channel layer", a.layer.Run}},
		{{"stories", a.stories.Run}},
		{{"postgres", a.db.Run}},
		{{"receipts", a.receipts.Run}},
		append(reloads,
			task{"socket sweeper", a.sockets.Run}, task{"chat sweeper", chats.Run}, task{"inbox sweeper", inboxes.Run}, task{"revocations", a.revocations.Run},
			task{"blocks", a.blocks.Run}, task{"memory limit", func(ctx context.Context) { a.memory.Follow(ctx, a.resizeMemory) }},
			task{"readiness checks", a.monitor.Run}, task{"rebalance", a.rebalance.Run}, task{"presence", a.presence.Run}, task{"inspector", a.inspector.Run}, task{"fleet", a.fleet.Run}),
	}
}

func (a *App) api(socketPaths []string, positions *location.Reporter) http.Handler {
	o := &a.options
	return api.New(api.Options{
		Store: a.db, Receipts: a.receipts, Keys: a.keys, Passwords: a.passwords, Revocations: a.revocations, Blocks: a.blocks, Positions: positions,
		Tickets: a.redis.Tickets, Throttle: a.redis.Throttle, AccessTTL: o.AccessTokenTTL, RefreshTTL: o.RefreshTokenTTL,
		Limits: api.LoginLimits{AccountAddress: o.LoginPerAccountAddress, Address: o.LoginPerAddress, Account: o.LoginPerAccount},
		Pairs:  a.redis.Throttle, Failures: &a.failures, Stories: a.stories, Proxies: a.proxies,
		Origins: o.Origins, Classic: o.ClassicClients, SocketPaths: socketPaths, Budget: a.budget, AddressShare: o.AddressShare,
		Who: func(r *http.Request) (ref, remote string) {
			return story.NewRef(), listen.ClientAddr(r, o.TrustedProxies)
		},
		IsProxy: func(remote string) bool { return listen.IsProxy(remote, o.TrustedProxies) },
		Console: a.console(console.Client),
	}, a.log, a.reg)
}
