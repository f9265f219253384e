// Package postgres is everything Postgres: the pool, the group commit of
// messages, the reads that conversations and handshakes need, the schema and its
// migrations. It hides pgx and goose, and translates their errors: what leaves it
// is [room.ErrNotFound], [room.ErrUnavailable] with a [Cause], or an input's fault.
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

	"github.com/roomspa/roomspa/internal/room"
)

// Options says where Postgres is, and how long anything may take there.
type Options struct {
	// URL is a connection URL, as in postgres://user:password@host:5432/name. Of
	// several hosts, comma-separated, the one that accepts writes is used.
	URL string
	// MaxConnections is the size of the pool, 16 by default. The committer and
	// the coalesced reads keep 5 busy.
	MaxConnections int
	// AcquireTimeout is how long a call waits for a connection, 2 s by default;
	// making one is part of that.
	AcquireTimeout time.Duration
	// StatementTimeout is how long a statement may run, 5 s by default.
	StatementTimeout time.Duration
	// LockTimeout is how long a statement may wait for a lock, 1 s by default.
	LockTimeout time.Duration
	// PgBouncer says that a PgBouncer in transaction mode stands in front: nothing
	// may be left behind in a session, neither prepared statements nor settings.
	PgBouncer bool
}

func (o Options) withDefaults() Options {
	o.MaxConnections = cmp.Or(o.MaxConnections, 16)
	o.AcquireTimeout = cmp.Or(o.AcquireTimeout, 2*time.Second)
	o.StatementTimeout = cmp.Or(o.StatementTimeout, 5*time.Second)
	o.LockTimeout = cmp.Or(o.LockTimeout, time.Second)
	return o
}

// bound is how long one trip to the database may take altogether. Postgres keeps
// the statement time-out by itself; the extra second is for a server that is too
// far gone to do that.
func (o Options) bound() time.Duration { return o.AcquireTimeout + o.StatementTimeout + time.Second }

// A DB is one replica's Postgres. Its methods may be called by many goroutines,
// and each of them returns within the acquire time-out, the statement time-out and
// a little more, even if the server has stopped in mid-air.
type DB struct {
	pool     *pgxpool.Pool
	opts     Options
	password string // is kept out of every error
	closed   atomic.Bool
	mismatch atomic.Pointer[failure] // what the last probe found wrong with the schema
	renewed  atomic.Int64            // when the pool's connections were last dropped, in ns
	log      *slog.Logger
	metrics  *metrics

	committer     *gatherer[appending, appended]
	users         *gatherer[[]room.UserID, map[room.UserID]*room.User]
	conversations *gatherer[room.Room, room.Conversation]
	after         *gatherer[page, []room.Message]
}

// Open returns a DB without connecting: the server need not be up. An error never
// holds the password. Append, Users, Conversation and After work while Run does.
func Open(ctx context.Context, o Options, log *slog.Logger, reg prometheus.Registerer) (*DB, error) {
	o = o.withDefaults()
	cfg, err := poolConfig(o)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, errors.New("the database pool cannot be set up")
	}
	db := &DB{pool: pool, opts: o, password: cfg.ConnConfig.Password, log: log}
	db.metrics = newMetrics(reg, db)
	db.committer = newGatherer(db, mostCommit, db.commit)
	db.committer.queue.Beside(few)
	db.users = newGatherer(db, mostReads, db.readUsers)
	db.conversations = newGatherer(db, mostReads, db.getOrCreate)
	db.after = newGatherer(db, mostReads, db.readAfter)
	return db, nil
}

// Run commits messages, serves the coalesced reads and deletes what has expired
// until ctx ends, then does what was asked for until then, and returns.
func (db *DB) Run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = db.Probe(ctx) }) // who connects first must not meet a schema that nobody has looked at
	wg.Go(func() { db.committer.run(ctx) })
	wg.Go(func() { db.users.run(ctx) })
	wg.Go(func() { db.conversations.run(ctx) })
	wg.Go(func() { db.after.run(ctx) })
	wg.Go(func() { db.tidy(ctx) })
	wg.Wait()
}

// Close closes the pool. Call it after Run has returned; it waits for calls that
// are still under way.
func (db *DB) Close() {
	db.closed.Store(true)
	db.pool.Close()
}
