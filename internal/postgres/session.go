package postgres

import (
	"context"
	"maps"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// setSession overrides defaults of the server, the database and the role that not every server
// knows, or that depend on what they are. Built-in functions are found before others of their
// name, and the rest of the search path stays: triggers of other applications may need it.
// Commits wait for the disk, unless the operator has chosen how they wait. Triggers run, if the
// role may decide that. No statement starts parallel workers: generic plans expect a third of a
// large table where a sweep finds a few rows.
const setSession = `
SELECT pg_catalog.set_config(s.name, s.value, false)
FROM (VALUES
	('idle_session_timeout', '0'), ('transaction_timeout', '0'), ('max_parallel_workers_per_gather', '0'), ('session_replication_role', 'origin'),
	('search_path', 'pg_catalog, ' || pg_catalog.current_setting('search_path')),
	('synchronous_commit', CASE pg_catalog.current_setting('synchronous_commit') WHEN 'off' THEN 'on' ELSE pg_catalog.current_setting('synchronous_commit') END)
) AS s (name, value)
WHERE pg_catalog.current_setting(s.name, true) IS NOT NULL
	AND (s.name <> 'session_replication_role' OR pg_catalog.current_setting('is_superuser') = 'on')`

// configureSession makes a connection independent of the defaults of the server, the database
// and the role, and of settings in the URL.
func configureSession(c *pgx.ConnConfig, o Options) {
	// PgBouncer passes these on, and refuses the others.
	maps.Copy(c.RuntimeParams, map[string]string{
		"client_encoding": "UTF8", "timezone": "UTC", "datestyle": "ISO, MDY", "standard_conforming_strings": "on",
	})
	if o.PgBouncer {
		return
	}
	maps.Copy(c.RuntimeParams, map[string]string{
		"statement_timeout":                   milliseconds(o.StatementTimeout),
		"lock_timeout":                        milliseconds(o.LockTimeout),
		"idle_in_transaction_session_timeout": milliseconds(o.roundtripTimeout()),
		"default_transaction_isolation":       "read committed",
		"default_transaction_deferrable":      "off",
		"transform_null_equals":               "off",
		"jit":                                 "off", // compiling takes longer than any of our statements
		// Planning the insert takes longer than running it for a few messages, and the
		// best plan of our statements does not depend on their arguments.
		"plan_cache_mode": planCacheMode,
	})
	c.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		_, err := conn.Exec(ctx, setSession).ReadAll()
		return err
	}
}

const planCacheMode = "force_generic_plan"

// setIsolation is the first statement of a transaction through PgBouncer, where sessions cannot
// have settings. Unlike SET TRANSACTION it works in a pipeline without a warning.
const setIsolation = `SET transaction_isolation = 'read committed'`

// setTimeouts sets the timeouts of one transaction through PgBouncer. Servers before 17 have no
// transaction_timeout.
const setTimeouts = `
SELECT set_config('statement_timeout', $1, true), set_config('lock_timeout', $2, true),
	set_config('idle_in_transaction_session_timeout', $3, true),
	CASE WHEN current_setting('transaction_timeout', true) IS NOT NULL THEN set_config('transaction_timeout', '0', true) END,
	CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', true) END`

func (o Options) timeouts() []any {
	return []any{milliseconds(o.StatementTimeout), milliseconds(o.LockTimeout), milliseconds(o.roundtripTimeout())}
}
