package postgres

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// session shows whether the settings of this session have reached the server connection, and
// which one that is.
const session = `SELECT current_setting('plan_cache_mode') = $1, pg_backend_pid()`

// requireSession returns a failure if statements on conn run on different connections of the
// server, as behind a pooler in transaction mode. keeps is when that was last found not to be
// so, in Unix ns.
func requireSession(ctx context.Context, conn *pgx.Conn, keeps *atomic.Int64) error {
	var kept bool
	var pid uint32
	// Without a prepared statement, which a pooler may lose.
	if err := conn.QueryRow(ctx, session, pgx.QueryExecModeExec, planCacheMode).Scan(&kept, &pid); err != nil {
		return err
	}
	if !kept {
		return newFailure(causePooler, "a setting of the session was lost")
	}
	// A server says its own process id when a connection begins, and a pooler another one.
	last := time.Unix(0, keeps.Load())
	if pid == conn.PgConn().PID() || time.Since(last) < poolerInterval {
		return nil
	}
	if sharesBackend(ctx, conn) {
		return newFailure(causePooler, "two connections have used the same server process")
	}
	keeps.Store(time.Now().UnixNano())
	return nil
}

// poolerInterval is the time after which a pooler that has kept sessions is tested again.
const poolerInterval = time.Minute

// otherTimeout limits the wait for another connection through the pooler.
const otherTimeout = time.Second

const backend = `SELECT pg_backend_pid()`

// sharesBackend reports whether the backend of conn serves another connection too, or conn gets
// another backend meanwhile. A pooler that has several free ones need not give them away in a
// certain order, so it tries a few times. An error is no proof: a pooler of sessions may have no
// free backend for another connection.
func sharesBackend(ctx context.Context, conn *pgx.Conn) bool {
	limited, cancel := context.WithTimeout(ctx, otherTimeout) // not for conn, which it would break
	defer cancel()
	other, err := pgx.ConnectConfig(limited, conn.Config())
	if err != nil {
		return false
	}
	defer func() { _ = other.Close(context.WithoutCancel(ctx)) }()
	var first uint32
	for i := range 10 {
		var own, others uint32
		if err := conn.QueryRow(ctx, backend, pgx.QueryExecModeExec).Scan(&own); err != nil {
			return false
		}
		if err := other.QueryRow(limited, backend, pgx.QueryExecModeExec).Scan(&others); err != nil {
			return false
		}
		if i == 0 {
			first = own
		}
		if own == others || own != first {
			return true
		}
	}
	return false
}
