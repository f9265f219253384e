package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// serverFacts is what the server says about the room that is left in it. Columns that a role may
// not read are NULL.
const serverFacts = `
SELECT current_setting('server_encoding'), pg_catalog.pg_database_size(current_database()),
	current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
	(SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend'),
	(SELECT rolconnlimit FROM pg_catalog.pg_roles WHERE rolname = current_user),
	(SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE usename = current_user AND backend_type = 'client backend'),
	(SELECT datconnlimit FROM pg_catalog.pg_database WHERE datname = current_database()),
	(SELECT pg_catalog.age(datfrozenxid) FROM pg_catalog.pg_database WHERE datname = current_database()),
	current_setting('synchronous_standby_names') <> '' AND current_setting('synchronous_commit') IN ('on', 'remote_write', 'remote_apply')
		AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_replication),
	current_user <> session_user, current_user::text`

// ownSettings are the settings that the role, the database or both have, and that the session has
// not replaced.
const ownSettings = `
SELECT name, setting FROM pg_catalog.pg_settings WHERE source IN ('user', 'database', 'database user') ORDER BY name`

// hidingTables are the tables on which row-level security applies to this role, unless a policy
// lets it see and write everything.
const hidingTables = `
SELECT 'roomspa.' || c.relname FROM pg_catalog.pg_class c
WHERE c.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'roomspa')
	AND c.relrowsecurity AND pg_catalog.row_security_active(c.oid)
	AND NOT EXISTS (
		SELECT FROM pg_catalog.pg_policy p
		WHERE p.polrelid = c.oid AND p.polpermissive AND p.polcmd = '*' AND pg_catalog.pg_get_expr(p.polqual, p.polrelid) = 'true'
			AND coalesce(pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid), 'true') = 'true'
			AND (p.polroles = '{0}' OR EXISTS (SELECT FROM unnest(p.polroles) r WHERE pg_catalog.pg_has_role(r, 'MEMBER')))
	)
ORDER BY c.relname`

// harmful are settings of a role or a database that change what roomspa's statements do, with the
// values that do no harm. Other ones, such as time-outs, each session replaces.
var harmful = map[string][]string{
	"session_replication_role": {"origin", "local"}, // replica switches triggers off
	"row_security":             {"on"},
	"enable_indexscan":         {"on"},
	"enable_nestloop":          {"on"},
	"temp_file_limit":          {"-1"},
	"fsync":                    {"on"},
}

// A Settings is what a check has found about a server that works.
type Settings struct {
	Detail   string
	Warnings []string
}

// CheckSettings looks at the encoding, at row-level security, at triggers and rules of others, at settings of the role and the
// database, at settings of the server that do harm later, and at the room that is left for
// connections and transactions. Postgres does not say how much of its disk is free: [DB.CheckMessage] writes to it. pool is the number of connections
// that a replica makes.
func (db *DB) CheckSettings(ctx context.Context, pool int) (s Settings, err error) {
	replicas := 1
	if others, err := db.Heartbeats(ctx, recentHeartbeat); err == nil && !db.opts.PgBouncer {
		replicas = max(1, len(others)) // without the table: before the first migration
	}
	err = db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		s = Settings{}
		return readSettings(ctx, conn, pool, replicas, &s)
	})
	if err != nil {
		return s, fmt.Errorf("look at the settings: %w", err)
	}
	return s, nil
}

func readSettings(ctx context.Context, conn *pgx.Conn, pool, replicas int, s *Settings) error {
	var f facts
	err := conn.QueryRow(ctx, serverFacts).Scan(&f.encoding, &f.size, &f.room, &f.used, &f.roleRoom, &f.roleUsed, &f.databaseRoom, &f.age, &f.standbyMissing, &f.otherRole, &f.role)
	if err != nil {
		return err
	}
	s.Detail = fmt.Sprintf("encoding %s, %d MB, %d of %d connections in use", f.encoding, f.size>>20, f.used, f.room)
	rows, _ := conn.Query(ctx, hidingTables)
	hiding, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	rows, _ = conn.Query(ctx, ownSettings)
	var name, value string
	var settings []string
	if _, err := pgx.ForEachRow(rows, []any{&name, &value}, func() error {
		settings = append(settings, name+" = "+value)
		if good := harmful[name]; good != nil && !slices.Contains(good, value) {
			s.Warnings = append(s.Warnings, fmt.Sprintf("the role or the database sets %s = %s, which changes what roomspa's statements do: ALTER ROLE %s RESET %s, or ALTER DATABASE", name, value, f.role, name))
		}
		return nil
	}); err != nil {
		return err
	}
	if len(settings) > 0 {
		s.Detail += "; set for the role or the database: " + strings.Join(settings, ", ")
	}
	s.Warnings = append(s.Warnings, f.warnings(pool, replicas)...)
	foreign, err := foreignWarnings(ctx, conn)
	if err != nil {
		return err
	}
	s.Warnings = append(s.Warnings, foreign...)
	server, err := serverWarnings(ctx, conn)
	if err != nil {
		return err
	}
	s.Warnings = append(s.Warnings, server...)
	switch {
	case f.encoding != "UTF8":
		return newFailure(causeEncoding, "it is "+f.encoding+" and must be UTF8")
	case len(hiding) > 0:
		return newFailure(causeRowSecurity, fmt.Sprintf("it is active for %s on %s", f.role, strings.Join(hiding, ", ")))
	case f.standbyMissing:
		return newFailure(causeNoStandby, "synchronous_standby_names lists one")
	}
	return nil
}

// facts are the columns of serverFacts.
type facts struct {
	encoding, role            string
	size                      int64
	room, used                int
	roleRoom, databaseRoom    *int // negative means no limit
	roleUsed                  int
	age                       *int64
	standbyMissing, otherRole bool
}

// wraparoundNear is the age of the oldest transaction at which Postgres itself begins to warn,
// less a hundred million. At 2^31 it accepts no writes.
const wraparoundNear = 2_000_000_000

// recentHeartbeat is the age up to which a heartbeat counts as one of a running replica.
const recentHeartbeat = 30 * time.Second

// warnings returns what is short for so many replicas with pools of that size.
func (f *facts) warnings(pool, replicas int) (all []string) {
	if replicas > 1 && replicas*pool > f.room {
		all = append(all, fmt.Sprintf("%d replicas make up to %d connections (--database-max-connections %d), and the server takes %d: raise max_connections, lower the option or use PgBouncer", replicas, replicas*pool, pool, f.room))
	}
	if free := f.room - f.used; free < pool {
		all = append(all, fmt.Sprintf("only %d connections are free, and a replica makes up to %d (--database-max-connections)", max(free, 0), pool))
	}
	for what, limit := range map[string]*int{"the user": f.roleRoom, "the database": f.databaseRoom} {
		if limit != nil && *limit >= 0 && *limit < pool {
			all = append(all, fmt.Sprintf("%s has a connection limit of %d, and a replica makes up to %d (--database-max-connections)", what, *limit, pool))
		}
	}
	if f.age != nil && *f.age > wraparoundNear {
		all = append(all, fmt.Sprintf("the oldest transaction is %d transactions old: at 2147483648 Postgres accepts no writes; run VACUUM", *f.age))
	}
	if f.otherRole {
		all = append(all, "the role is set to "+f.role+" (ALTER ROLE … SET role): its privileges count, and not those of the user in the URL")
	}
	slices.Sort(all)
	return all
}
