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
// error. It runs f a second time if a prepared statement was out of date, so f must be
// repeatable.
func (db *DB) roundtrip(ctx context.Context, f func(context.Context, *pgx.Conn) error) error {
	return db.roundtripIn(ctx, nil, f)
}

// requestRoundtrip is roundtrip for calls that requests of clients make one by one. Together
// they use at most half of the pool. Without that, a flood of requests would delay messages,
// handshakes and probes, whose calls are few because they are coalesced.
func (db *DB) requestRoundtrip(ctx context.Context, f func(context.Context, *pgx.Conn) error) error {
	return db.roundtripIn(ctx, db.requests, f)
}

// roundtripIn is roundtrip for a call that needs a place in turns, unless that is nil.
func (db *DB) roundtripIn(ctx context.Context, turns chan struct{}, f func(context.Context, *pgx.Conn) error) error {
	limited, cancel := context.WithTimeout(ctx, db.opts.roundtripTimeout())
	defer cancel()
	conn, err := db.acquire(limited, turns)
	if err != nil {
		return db.translate(ctx, err)
	}
	defer leave(turns)
	defer conn.Release() // closes the connection if it is broken or in a transaction
	err = f(limited, conn.Conn())
	if isStale(err) {
		err = f(limited, conn.Conn())
	}
	if err != nil {
		return db.translate(ctx, err)
	}
	return nil
}

// acquire takes a place in turns, and a connection from the pool, or makes one. The caller
// gives both back, unless there is an error.
func (db *DB) acquire(ctx context.Context, turns chan struct{}) (*pgxpool.Conn, error) {
	db.metrics.waiting.Inc()
	defer db.metrics.waiting.Dec()
	limited, cancel := context.WithTimeout(ctx, db.opts.AcquireTimeout)
	defer cancel()
	start := time.Now()
	defer func() { db.metrics.acquire.Observe(time.Since(start).Seconds()) }()
	if !enter(limited, turns) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, newFailure(causePool, "")
	}
	conn, err := db.acquireFromPool(ctx, limited)
	if err != nil {
		leave(turns)
	}
	return conn, err
}

// acquireFromPool takes a connection from the pool, or makes one, until limited ends, which is
// the acquire timeout within ctx.
func (db *DB) acquireFromPool(ctx, limited context.Context) (*pgxpool.Conn, error) {
	conn, err := db.pool.Acquire(limited)
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

// hasIdleConn reports whether a connection of the pool is idle. If none is, it makes one in the
// background, unless the pool is full: to wait for a new one takes longer than for one in use.
func (db *DB) hasIdleConn() bool {
	s := db.pool.Stat()
	if s.IdleConns() > 0 {
		return true
	}
	if s.TotalConns() < s.MaxConns() && db.growing.CompareAndSwap(false, true) {
		go func() {
			defer db.growing.Store(false)
			ctx, cancel := context.WithTimeout(context.Background(), db.opts.AcquireTimeout) //nolint:forbidigo // no caller waits for the connection
			defer cancel()
			if conn, err := db.pool.Acquire(ctx); err == nil {
				conn.Release()
			}
		}()
	}
	return false
}

// enter takes a place in turns, if that is not nil. It returns false if ctx ends before.
func enter(ctx context.Context, turns chan struct{}) bool {
	if turns == nil {
		return true
	}
	select {
	case turns <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// leave gives back the place that enter has taken.
func leave(turns chan struct{}) {
	if turns != nil {
		<-turns
	}
}

// newWrite returns a pipeline for statements that write. They are one transaction and
// need one roundtrip.
func (db *DB) newWrite() *pgx.Batch {
	b := &pgx.Batch{}
	if db.opts.PgBouncer {
		b.Queue(setIsolation)
		b.Queue(setTimeouts, db.opts.timeouts()...)
	}
	return b
}

// send runs a pipeline in one roundtrip.
func (db *DB) send(ctx context.Context, b *pgx.Batch) error {
	return db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error { return sendOn(ctx, conn, b) })
}

// sendRequest is send for calls that requests of clients make one by one.
func (db *DB) sendRequest(ctx context.Context, b *pgx.Batch) error {
	return db.requestRoundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error { return sendOn(ctx, conn, b) })
}

// sendOn runs a pipeline. If prepared statements of the connection were lost or out of date, it
// prepares and runs it again: nothing was committed. Results are then delivered again from the
// first one on.
func sendOn(ctx context.Context, conn *pgx.Conn, b *pgx.Batch) error {
	err := conn.SendBatch(ctx, b).Close()
	if !isStale(err) || conn.PgConn().TxStatus() != 'I' {
		return err
	}
	again := &pgx.Batch{} // b refers to the statements of before
	for _, q := range b.QueuedQueries {
		again.Queue(q.SQL, q.Arguments...).Fn = q.Fn
	}
	return conn.SendBatch(ctx, again).Close()
}

// isStale reports whether a prepared statement is lost (26000), or has another result since the
// schema was changed (0A000). It has not run then, and pgx prepares it at its next use.
func isStale(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "26000" || pg.Code == "0A000" && pg.Routine == "RevalidateCachedQuery")
}

// transaction runs f in one transaction.
func (db *DB) transaction(ctx context.Context, f func(pgx.Tx) error) error {
	return db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
			if db.opts.PgBouncer {
				if _, err := tx.Exec(ctx, setTimeouts, db.opts.timeouts()...); err != nil {
					return err
				}
			}
			return f(tx)
		})
	})
}

// requireRow fails with [pgx.ErrNoRows] if a statement has changed no row.
func requireRow(tag pgconn.CommandTag) error {
	if tag.RowsAffected() == 0 {
		return pgx.ErrNoRows
	}
	return nil
}
