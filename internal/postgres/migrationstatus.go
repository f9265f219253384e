package postgres

import (
	"context"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const hasVersions = `SELECT to_regclass('roomspa.goose_db_version') IS NOT NULL`

const appliedVersions = `
SELECT version_id, tstamp::timestamptz FROM roomspa.goose_db_version WHERE is_applied AND version_id > 0 ORDER BY version_id`

// MigrationStatus returns the migrations of this binary and of the database, oldest
// first. Unlike goose's own status it changes nothing and waits for no lock.
func MigrationStatus(ctx context.Context, o Options) ([]Migration, error) {
	o = o.withDefaults()
	pool, err := poolConfig(o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.roundtripTimeout())
	defer cancel()
	applied, err := readVersions(ctx, pool.ConnConfig)
	if err != nil {
		return nil, migrationError(ctx, err, pool.ConnConfig.Password)
	}
	files, err := fs.ReadDir(migrations, "migrations") // sorted by name
	if err != nil {
		return nil, err
	}
	var all []Migration
	for _, f := range files {
		number, _, _ := strings.Cut(f.Name(), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, err
		}
		all = append(all, Migration{version, f.Name(), applied[version]})
		delete(applied, version)
	}
	for _, version := range slices.Sorted(maps.Keys(applied)) {
		all = append(all, Migration{version, "(of a newer roomspa)", applied[version]})
	}
	return all, nil
}

func readVersions(ctx context.Context, cfg *pgx.ConnConfig) (map[int64]time.Time, error) {
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	applied := map[int64]time.Time{}
	var exists bool
	if err := conn.QueryRow(ctx, hasVersions).Scan(&exists); err != nil || !exists {
		return applied, err
	}
	rows, _ := conn.Query(ctx, appliedVersions)
	var version int64
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&version, &at}, func() error {
		applied[version] = at.UTC()
		return nil
	})
	return applied, err
}
