package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// roundtrip runs f on a connection, within the roundtrip timeout, and translates its
// error.
func (db *DB) roundtrip(ctx context.Context, f func(context.Context, *pgx.Conn) error) error {
	limited, cancel := context.WithTimeout(ctx, db.opts.roundtripTimeout())
	defer cancel()
	conn, err := db.acquire(limited)
	if err != nil {
		return db.translate(ctx, err)
	}
	defer conn.Release() // closes the connection if it is broken or in a transaction
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
	// The cause may also be a server that accepts connections and does not respond.
	if s := db.pool.Stat(); err != nil && s.AcquiredConns() >= s.MaxConns() {
		return nil, newFailure(causePool, "")
	}
	return conn, err
}

// newWrite returns a pipeline for statements that write. They are one transaction and
// need one roundtrip.
func (db *DB) newWrite() *pgx.Batch {
	b := &pgx.Batch{}
	if db.opts.PgBouncer {
		b.Queue(setTimeouts, milliseconds(db.opts.StatementTimeout), milliseconds(db.opts.LockTimeout))
	}
	return b
}

// send runs a pipeline in one roundtrip.
func (db *DB) send(ctx context.Context, b *pgx.Batch) error {
	return db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error { return sendOn(ctx, conn, b) })
}

func sendOn(ctx context.Context, conn *pgx.Conn, b *pgx.Batch) error {
	return conn.SendBatch(ctx, b).Close()
}

// transaction runs f in one transaction.
func (db *DB) transaction(ctx context.Context, f func(pgx.Tx) error) error {
	return db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if db.opts.PgBouncer {
				_, err := tx.Exec(ctx, setTimeouts, milliseconds(db.opts.StatementTimeout), milliseconds(db.opts.LockTimeout))
				if err != nil {
					return err
				}
			}
			return f(tx)
		})
	})
}

// setTimeouts sets the timeouts of one transaction, where the session cannot have any.
const setTimeouts = `SELECT set_config('statement_timeout', $1, true), set_config('lock_timeout', $2, true)`

// requireRow fails with [pgx.ErrNoRows] if a statement has changed no row.
func requireRow(tag pgconn.CommandTag) error {
	if tag.RowsAffected() == 0 {
		return pgx.ErrNoRows
	}
	return nil
}
