package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// session shows whether the settings of this session have reached the server connection, and
// which one that is.
const session = `SELECT current_setting('plan_cache_mode') = $1, pg_backend_pid()`

// detectPooler returns a failure if statements on conn run on different connections of the
// server, as behind a pooler in transaction mode, and the options do not declare one.
func (db *DB) detectPooler(ctx context.Context, conn *pgx.Conn) error {
	if db.opts.PgBouncer {
		return nil
	}
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
	if pid == conn.PgConn().PID() || db.sessionPooler.Load() {
		return nil
	}
	shared, err := db.sharesBackend(ctx, conn, pid)
	switch {
	case err != nil:
		return err
	case shared:
		return newFailure(causePooler, "two connections have used the same server process")
	}
	db.sessionPooler.Store(true)
	return nil
}

const backend = `SELECT pg_backend_pid()`

// sharesBackend reports whether the backend of conn, whose process id is pid, serves another
// connection too, or conn gets another backend meanwhile.
func (db *DB) sharesBackend(ctx context.Context, conn *pgx.Conn, pid uint32) (bool, error) {
	other, err := pgx.ConnectConfig(ctx, conn.Config())
	if err != nil {
		return false, err
	}
	defer func() { _ = other.Close(context.WithoutCancel(ctx)) }()
	tx, err := other.Begin(ctx) // so that it keeps its backend
	if err != nil {
		return false, err
	}
	var theirs, now uint32
	if err := tx.QueryRow(ctx, backend, pgx.QueryExecModeExec).Scan(&theirs); err != nil {
		return false, err
	}
	if err := conn.QueryRow(ctx, backend, pgx.QueryExecModeExec).Scan(&now); err != nil {
		return false, err
	}
	return theirs == pid || now != pid, nil
}
