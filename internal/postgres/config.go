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
	"github.com/roomspa/roomspa/internal/tcp"
)

// poolConfig parses the URL. It does not return pgx's errors: they quote the URL, and
// hide the password only if they recognize it.
func poolConfig(o Options) (*pgxpool.Config, error) {
	if o.URL == "" {
		return nil, errors.New("the database URL is missing")
	}
	if err := checkURL(o.URL); err != nil {
		return nil, err
	}
	withFiles, err := urlWithTLS(o)
	if err != nil {
		return nil, err
	}
	cfg, err := ParseURL(withFiles)
	if err == nil && strings.ContainsAny(cfg.ConnConfig.Host, "@[]? ") {
		err = errors.New("the host may be a part of the password")
	}
	if err == nil {
		if err := checkParameters(cfg.ConnConfig.RuntimeParams); err != nil {
			return nil, err
		}
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, fmt.Errorf("read a file named in the database URL: %w", path)
	}
	if err != nil {
		return nil, errors.New("parse the database URL: want postgres://user:password@host:5432/name, " +
			"with special characters in the password percent-encoded")
	}
	if o.MaxConnections < 1 || o.AcquireTimeout < 0 || o.StatementTimeout < 0 || o.LockTimeout < 0 {
		return nil, errors.New("the database pool needs at least one connection, and timeouts of zero or more")
	}
	cfg.MaxConns = int32(min(o.MaxConnections, 10_000))
	// Leaves time to make another connection within the acquire timeout if the pooled
	// one does not respond.
	cfg.PingTimeout = o.AcquireTimeout / 2
	cfg.MaxConnLifetimeJitter = cfg.MaxConnLifetime / 10
	cfg.MinConns = cfg.MaxConns / minConnsShare
	configureConn(cfg.ConnConfig, o)
	if !o.PgBouncer {
		cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
			warmUp(ctx, conn)
			return nil
		}
	}
	return cfg, nil
}

// minConnsShare is the share of the pool, one in four, that stays open when idle: of 16
// connections those that the group commit and the coalesced reads use. Making one takes
// tens of milliseconds, and a whole batch would wait for it.
const minConnsShare = 4

// warmUp makes a new connection plan the statements of the group commit, by running them
// with no messages. The first plan takes tens of milliseconds. An error, as before the
// first migration, is ignored: the next use of the statement returns it.
func warmUp(ctx context.Context, conn *pgx.Conn) {
	var nobody room.ID
	b := &pgx.Batch{}
	b.Queue(lockConversations, []room.ID{})
	b.Queue(insertMessage, nobody, uuid7Random(), int64(1), string(room.Customer), "", "", "", "")
	b.Queue(insertMessages, columns([]room.ID{}, nil)...)
	_ = sendOn(ctx, conn, b)
}

// configureConn sets what all connections share, including those of migrations.
func configureConn(c *pgx.ConnConfig, o Options) {
	c.RuntimeParams["application_name"] = "roomspa"
	configureSession(c, o)
	dialer := &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
		// If a host has vanished, the connection breaks after this time. By default the
		// kernel would retransmit for 15 minutes.
		Control: userTimeout(o.roundtripTimeout()),
	}
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		return tcp.Dial(ctx, dialer, network, address)
	}
	hosts := map[string]bool{net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))): true}
	for _, f := range c.Fallbacks {
		hosts[net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port)))] = true
	}
	// The timeout is per host: a dead first host must leave time for the second.
	share := o.AcquireTimeout / time.Duration(len(hosts))
	if c.ConnectTimeout == 0 || c.ConnectTimeout > share {
		c.ConnectTimeout = share
	}
	if len(hosts) > 1 && c.ValidateConnect == nil {
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if o.PgBouncer {
		// pgx caches the descriptions of statements, and the server parses each execution
		// anew, so any server connection will do.
		c.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(max(1, d.Milliseconds()), 10) }
