package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// migrationName is the application_name of the connections that migrate.
const migrationName = "roomspa migrate"

// migrationBlockers selects the sessions that migrations of this database wait for. A prepared
// transaction has no session. Without the rights of pg_read_all_stats the age is unknown.
const migrationBlockers = `
SELECT DISTINCT b.pid, coalesce(s.usename, ''), coalesce(s.application_name, ''),
	coalesce(extract(epoch FROM now() - s.xact_start), -1)::float8
FROM pg_catalog.pg_stat_activity m
CROSS JOIN LATERAL unnest(pg_blocking_pids(m.pid)) AS b (pid)
LEFT JOIN pg_catalog.pg_stat_activity s ON s.pid = b.pid
WHERE m.datname = current_database() AND m.application_name = $1 AND b.pid <> pg_backend_pid()
ORDER BY b.pid LIMIT 10`

const (
	blockersPoll  = time.Second
	blockersEvery = 10 * time.Second // between two log lines about the same wait
)

// watchBlockers logs whom migrations wait for, on a connection of its own, until the returned
// function is called. An error ends it silently: the migration meets the same one.
func watchBlockers(ctx context.Context, cfg *pgx.ConnConfig, log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	cfg = cfg.Copy()
	cfg.RuntimeParams["application_name"] = "roomspa"
	cfg.OnNotice = nil
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(blockersPoll)
		defer tick.Stop()
		var conn *pgx.Conn
		var last string
		var next time.Time
		for {
			select {
			case <-ctx.Done():
				if conn != nil {
					_ = conn.Close(context.WithoutCancel(ctx))
				}
				return
			case now := <-tick.C:
				var err error
				if conn == nil {
					conn, err = pgx.ConnectConfig(ctx, cfg)
				}
				var who, text string
				if err == nil {
					who, text, err = readBlockers(ctx, conn)
				}
				if err != nil {
					continue
				}
				if who != "" && (who != last || now.After(next)) {
					next = now.Add(blockersEvery)
					log.Info("Migration waits for other transactions", "transactions", text)
				}
				last = who
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// readBlockers returns the process ids of the blockers, and all about them as text.
func readBlockers(ctx context.Context, conn *pgx.Conn) (who, text string, err error) {
	rows, _ := conn.Query(ctx, migrationBlockers, migrationName)
	var pid int32
	var user, application string
	var age float64
	var pids, texts []string
	_, err = pgx.ForEachRow(rows, []any{&pid, &user, &application, &age}, func() error {
		since := "of unknown age"
		if age >= 0 {
			since = "for " + time.Duration(age*float64(time.Second)).Round(time.Second).String()
		}
		pids = append(pids, fmt.Sprint(pid))
		texts = append(texts, fmt.Sprintf("pid %d (user %s, application %s, %s)", pid, user, application, since))
		return nil
	})
	return strings.Join(pids, " "), strings.Join(texts, ", "), err
}
