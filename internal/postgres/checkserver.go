package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// riskySettings are settings of the server that are harmless today and lose data or fill the disk
// later. Statistics (track_counts) are what autovacuum goes by.
const riskySettings = `
SELECT s.name FROM pg_catalog.pg_settings s
WHERE s.name IN ('autovacuum', 'track_counts', 'fsync', 'full_page_writes') AND s.setting = 'off' ORDER BY s.name`

// unvacuumedTables are the tables for which autovacuum is switched off.
const unvacuumedTables = `
SELECT 'roomspa.' || c.relname FROM pg_catalog.pg_class c
WHERE c.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'roomspa')
	AND c.reloptions && ARRAY['autovacuum_enabled=false', 'autovacuum_enabled=off', 'autovacuum_enabled=no', 'autovacuum_enabled=0']
ORDER BY c.relname`

// heldLog are the replication slots that nobody uses and that keep the server's log without a
// limit. current_setting returns NULL where the server is older than the setting.
const heldLog = `
SELECT slot_name::text FROM pg_catalog.pg_replication_slots
WHERE NOT active AND coalesce(current_setting('max_slot_wal_keep_size', true), '-1') = '-1' ORDER BY slot_name`

// lastStandby reports whether commits wait for a standby of which only one is connected.
const lastStandby = `
SELECT current_setting('synchronous_standby_names') <> '' AND current_setting('synchronous_commit') IN ('on', 'remote_write', 'remote_apply')
	AND (SELECT count(*) FROM pg_catalog.pg_stat_replication) = 1`

// risks says what each of the settings does.
var risks = map[string]string{
	"autovacuum":       "dead rows are never removed, and the tables grow until the disk is full",
	"track_counts":     "autovacuum does nothing without statistics, and the tables grow until the disk is full",
	"fsync":            "a power failure loses messages that were acknowledged, or damages the database",
	"full_page_writes": "a power failure can damage the database",
}

// serverWarnings returns what an operator must change before it hurts.
func serverWarnings(ctx context.Context, conn *pgx.Conn) (all []string, err error) {
	list := func(sql string, warning func(name string) string) {
		if err != nil {
			return
		}
		rows, _ := conn.Query(ctx, sql)
		var names []string
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
		for _, name := range names {
			all = append(all, warning(name))
		}
	}
	list(riskySettings, func(name string) string { return fmt.Sprintf("%s is off: %s; set it to on", name, risks[name]) })
	list(unvacuumedTables, func(name string) string {
		return fmt.Sprintf("autovacuum is off for %[1]s, which grows until the disk is full: ALTER TABLE %[1]s RESET (autovacuum_enabled)", name)
	})
	list(heldLog, func(name string) string {
		return fmt.Sprintf("the replication slot %[1]s is not in use and keeps the server's log until the disk is full: start its standby, drop it (SELECT pg_drop_replication_slot('%[1]s')) or set max_slot_wal_keep_size", strings.ReplaceAll(name, "'", "''"))
	})
	var last bool
	if err == nil {
		err = conn.QueryRow(ctx, lastStandby).Scan(&last)
	}
	if last {
		all = append(all, "commits wait for a synchronous standby, and one alone is connected: while it is away no message is stored; run two")
	}
	return all, err
}
