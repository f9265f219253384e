package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/roomspa/roomspa/internal/room"
)

// poolConfig reads the URL. Why pgx cannot read one is not passed on: its message
// quotes the URL, and hides the password only where it finds it.
func poolConfig(o Options) (*pgxpool.Config, error) {
	if o.URL == "" {
		return nil, errors.New("the database URL is missing")
	}
	cfg, err := pgxpool.ParseConfig(o.URL)
	if err == nil && strings.ContainsAny(cfg.ConnConfig.Host, "@[]? ") {
		err = errors.New("what stands for the host may be a piece of the password")
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, fmt.Errorf("the database URL names a file that cannot be read: %w", path)
	}
	if err != nil {
		return nil, errors.New("the database URL cannot be parsed: it should look like " +
			"postgres://user:password@host:5432/name, with special characters of the password percent-encoded")
	}
	if o.MaxConnections < 1 || o.AcquireTimeout < 0 || o.StatementTimeout < 0 || o.LockTimeout < 0 {
		return nil, errors.New("the database pool needs a connection or more, and no time-out below zero")
	}
	cfg.MaxConns = int32(min(o.MaxConnections, 10_000))
	// A connection that does not answer its ping is given up early enough for
	// another one to be made within the acquire time-out.
	cfg.PingTimeout = o.AcquireTimeout / 2
	cfg.MaxConnLifetimeJitter = cfg.MaxConnLifetime / 10
	cfg.MinConns = cfg.MaxConns / warmShare
	session(cfg.ConnConfig, o)
	if !o.PgBouncer {
		cfg.ConnConfig.RuntimeParams["statement_timeout"] = milliseconds(o.StatementTimeout)
		cfg.ConnConfig.RuntimeParams["lock_timeout"] = milliseconds(o.LockTimeout)
		// Planning the insert takes longer than running it for a few messages, and no
		// statement of ours has a better plan for some values than for others.
		cfg.ConnConfig.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
		cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
			warm(ctx, conn)
			return nil
		}
	}
	return cfg, nil
}

// warmShare is the part of the pool that is kept though nobody uses it: of 16 connections
// those that the committer and the coalesced reads keep busy. To make one takes tens of
// milliseconds, in which a whole batch would wait.
const warmShare = 4

// warm lets a new connection plan the statements of the committer, without any message:
// a server process that has never seen the tables takes tens of milliseconds for the
// first. Where that fails, as it does before the first migration, whoever needs the
// statement is told why.
func warm(ctx context.Context, conn *pgx.Conn) {
	var nobody room.ID
	b := &pgx.Batch{}
	b.Queue(lockConversations, []room.ID{})
	b.Queue(insertMessage, nobody, uuid7Random(), int64(1), string(room.Customer), "", "")
	b.Queue(insertMessages, arrays([]room.ID{}, nil)...)
	_ = send(ctx, conn, b)
}

// session sets what every connection of ours shares, the migrations' included.
func session(c *pgx.ConnConfig, o Options) {
	c.RuntimeParams["application_name"] = "roomspa"
	dialer := &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
		// Bytes that a vanished host does not acknowledge break the connection
		// after this long; the kernel alone would try for 15 minutes.
		Control: userTimeout(o.bound()),
	}
	c.DialFunc = dialer.DialContext
	hosts := map[string]bool{net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))): true}
	for _, f := range c.Fallbacks {
		hosts[net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port)))] = true
	}
	// pgx applies it host by host; a dead first host must leave time for the second.
	share := o.AcquireTimeout / time.Duration(len(hosts))
	if c.ConnectTimeout == 0 || c.ConnectTimeout > share {
		c.ConnectTimeout = share
	}
	if len(hosts) > 1 && c.ValidateConnect == nil {
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if o.PgBouncer {
		// Descriptions are cached on our side; each execution parses anew, so
		// nothing depends on which server connection it reaches.
		c.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
}

// limitTransaction sets the time-outs of the transaction that it is part of, where
// they cannot be set for the session.
const limitTransaction = `SELECT set_config('statement_timeout', $1, true), set_config('lock_timeout', $2, true)`

// writing begins the pipeline of a transaction that writes: it has one round trip,
// and is committed by its end.
func (db *DB) writing() *pgx.Batch {
	b := &pgx.Batch{}
	if db.opts.PgBouncer {
		b.Queue(limitTransaction, milliseconds(db.opts.StatementTimeout), milliseconds(db.opts.LockTimeout))
	}
	return b
}

// send runs a pipeline.
func send(ctx context.Context, conn *pgx.Conn, b *pgx.Batch) error {
	return conn.SendBatch(ctx, b).Close()
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(max(1, d.Milliseconds()), 10) }
