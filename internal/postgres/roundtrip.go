package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// trip runs f on a connection, within our own time limit, and translates its error.
func (db *DB) trip(ctx context.Context, f func(context.Context, *pgx.Conn) error) error {
	limited, cancel := context.WithTimeout(ctx, db.opts.bound())
	defer cancel()
	conn, err := db.acquire(limited)
	if err != nil {
		return db.translate(ctx, err)
	}
	defer conn.Release() // and closes it, if it is broken or in mid-transaction
	if err := f(limited, conn.Conn()); err != nil {
		return db.translate(ctx, err)
	}
	return nil
}

// acquire takes a connection from the pool, or makes one.
func (db *DB) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	db.metrics.waiting.Inc()
	defer db.metrics.waiting.Dec()
	limited, cancel := context.WithTimeout(ctx, db.opts.AcquireTimeout)
	defer cancel()
	start := time.Now()
	conn, err := db.pool.Acquire(limited)
	db.metrics.acquire.Observe(time.Since(start).Seconds())
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	if limited.Err() == nil || ctx.Err() != nil || connecting {
		return conn, err
	}
	// The time-out may also hide a server that lets us connect and says nothing.
	if s := db.pool.Stat(); err != nil && s.AcquiredConns() >= s.MaxConns() {
		return nil, unavailable(causePool, "")
	}
	return conn, err
}
