// Package postgres owns everything in Postgres: the connection pool, the group commit
// of messages, all reads and writes, the schema and its migrations. It hides pgx and
// goose and translates their errors. A caller gets [room.ErrNotFound], a
// [room.ErrUnavailable] with a [Cause], or an error about its own input.
package postgres

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/certs"
	"github.com/roomspa/roomspa/internal/room"
)

// Options configure a [DB].
type Options struct {
	// URL is a connection URL such as postgres://user:password@host:5432/name. Several
	// hosts are separated by commas; the one that accepts writes is used.
	URL string
	// MaxConnections is the size of the pool. Default: 16. The group commit and the
	// coalesced reads use 5, and up to 9 where commits are slow.
	MaxConnections int
	// AcquireTimeout limits the wait for a connection, including the time to make one.
	// Default: 2 s.
	AcquireTimeout time.Duration
	// StatementTimeout limits a statement. Default: 5 s.
	StatementTimeout time.Duration
	// LockTimeout limits the wait of a statement for a lock. Default: 1 s.
	LockTimeout time.Duration
	// PgBouncer is set if a PgBouncer in transaction mode is in front of Postgres. Then
	// sessions have neither prepared statements nor settings.
	PgBouncer bool
	// TLS are the files of certificates. They count only where the connection uses TLS.
	TLS certs.Files
}

func (o Options) withDefaults() Options {
	o.MaxConnections = cmp.Or(o.MaxConnections, 16)
	o.AcquireTimeout = cmp.Or(o.AcquireTimeout, 2*time.Second)
	o.StatementTimeout = cmp.Or(o.StatementTimeout, 5*time.Second)
	o.LockTimeout = cmp.Or(o.LockTimeout, time.Second)
	return o
}

// roundtripTimeout limits a roundtrip to the database. Postgres itself enforces the
// statement timeout; the extra second is for a server that does not respond at all.
func (o Options) roundtripTimeout() time.Duration {
	return o.AcquireTimeout + o.StatementTimeout + time.Second
}

// A DB is the Postgres of one replica. Its methods may be called concurrently. Each
// returns within little more than the acquire and statement timeouts, even if the
// server stops responding.
type DB struct {
	pool          *pgxpool.Pool
	opts          Options
	target        atomic.Pointer[target] // for new connections
	closed        atomic.Bool
	schemaProblem atomic.Pointer[failure] // what the last probe found
	usersKind     atomic.Int32            // whether roomspa.users is a view
	poolReset     atomic.Int64            // when the pool was last reset, in Unix ns
	growing       atomic.Bool             // a connection is made that nobody waits for
	sessionPooler atomic.Int64            // when a pooler was last found to keep sessions, in Unix ns
	log           *slog.Logger
	metrics       *metrics
	known         knownDeployment
	recent        recentCommits // of this process
	found         findings      // after failures
	writes        writeFailure
	suspected     chan struct{} // holds a value if the database may have gone back in time
	requests      chan struct{} // holds a value per call of requestRoundtrip that runs

	commits       *coalescer[appendArg, appendResult]
	users         *coalescer[[]room.UserID, map[room.UserID]*room.User]
	conversations *coalescer[view, room.Conversation]
	pages         *coalescer[page, pageResult]
	blocks        *coalescer[[]room.Room, map[room.Room]room.Blocks]
}

// Open returns a DB without connecting, so the server need not be up. Its errors never
// contain the password. Append, Users, Conversation, After and Blocks work while
// Run runs.
func Open(ctx context.Context, o Options, log *slog.Logger, reg prometheus.Registerer) (*DB, error) {
	warnOfEnvironment(log)
	o = o.withDefaults()
	cfg, err := poolConfig(o)
	if err != nil {
		return nil, err
	}
	db := &DB{opts: o, log: log, suspected: make(chan struct{}, 1)}
	db.target.Store(&target{url: o.URL, config: cfg.ConnConfig.Copy()})
	cfg.BeforeConnect = db.useTarget
	if db.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, errors.New("the database pool cannot be set up")
	}
	db.requests = make(chan struct{}, max(1, o.MaxConnections/2))
	db.metrics = newMetrics(reg, db)
	db.commits = newCoalescer(db, maxCommit, db.commit)
	db.commits.inline = true
	db.commits.queue.AllowBesideSlow(slowCommit, maxBesideSlow, min(maxConcurrency, o.MaxConnections/3), db.hasIdleConn)
	db.users = newCoalescer(db, maxReadBatch, db.serveUsers)
	db.conversations = newCoalescer(db, maxReadBatch, db.serveConversations)
	db.pages = newCoalescer(db, maxReadBatch, db.servePages)
	db.blocks = newCoalescer(db, maxReadBatch, db.serveBlocks)
	return db, nil
}

// Run commits messages, serves coalesced reads and deletes expired rows until ctx ends.
// It then serves the calls that are waiting, and returns.
func (db *DB) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = db.Probe(ctx) // so that the first handshakes know the state of the schema
		db.watchReports(ctx)
	})
	wg.Go(func() { db.commits.queue.Run(ctx) })
	wg.Go(func() { db.users.queue.Run(ctx) })
	wg.Go(func() { db.conversations.queue.Run(ctx) })
	wg.Go(func() { db.pages.queue.Run(ctx) })
	wg.Go(func() { db.blocks.queue.Run(ctx) })
	wg.Go(func() { db.expireRefreshes(ctx) })
	wg.Wait()
}

// Close closes the pool, after the calls that are under way. Call it when Run has
// returned.
func (db *DB) Close() {
	db.closed.Store(true)
	db.pool.Close()
}
