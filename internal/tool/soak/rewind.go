package soak

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// The kinds of faults after which the database has lost messages, or is another one. They
// are in no plan: what was acknowledged before such a fault may be gone, so a run with many
// of them would show little.
const (
	pgRestore kind = "postgres-restore" // a backup is restored under open connections
	pgReplace kind = "postgres-replace" // a copy of the database takes its place
)

// rewinds reports whether messages that were acknowledged before the fault may be gone
// after it.
func (k kind) rewinds() bool { return k == pgRestore || k == pgReplace }

// restoreLater backs up the database, and restores the backup after a time.
func (r *runner) restoreLater(ctx context.Context, duration time.Duration) error {
	repair, cancel := repairContext(ctx)
	defer cancel()
	backup, err := r.deployment.backUp(repair)
	if err != nil {
		return err
	}
	pause(ctx, duration)
	return r.rewind(repair, func() error { return r.deployment.restore(repair, backup) })
}

// rewind makes the database go back in time. It returns when the acknowledgements of before
// have reached the clients: from then on nothing may be lost.
func (r *runner) rewind(ctx context.Context, change func() error) error {
	if err := change(); err != nil {
		return err
	}
	return r.crowd.settle(ctx)
}

// settle waits until each device has received an acknowledgement for as many messages as it
// waited for at the call. A socket is served in order, so the acknowledgements that were
// under way at the call have then arrived.
func (c *crowd) settle(ctx context.Context) error {
	want := map[*device]int64{}
	for _, d := range c.devices {
		unacknowledged := int64(d.session.Unacknowledged())
		want[d] = unacknowledged + d.acknowledged.Load()
	}
	for {
		maps.DeleteFunc(want, func(d *device, n int64) bool { return d.acknowledged.Load() >= n || d.session.Unacknowledged() == 0 })
		if len(want) == 0 {
			break
		}
		if !pause(ctx, 5*time.Millisecond) {
			return fmt.Errorf("wait for the acknowledgements of %d devices: %w", len(want), ctx.Err())
		}
	}
	for _, d := range c.devices {
		d.room.last.Store(0) // a later acknowledgement says where the room is now
	}
	return nil
}

// databaseName returns the name of the database in a URL.
func databaseName(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", fmt.Errorf("parse the database URL: %w", err)
	}
	return strings.TrimPrefix(u.Path, "/"), nil
}

// backUp returns a backup of the database.
func (d *deployment) backUp(ctx context.Context) (path string, err error) {
	name, err := databaseName(d.pgURL)
	if err != nil {
		return "", err
	}
	return d.postgres.Dump(ctx, name, "soak") //nolint:wrapcheck // it names the operation
}

// restore restores a backup. pg_restore takes exclusive locks in an order of its own, so it
// may deadlock with transactions of the replicas, and is then repeated.
func (d *deployment) restore(ctx context.Context, backup string) error {
	name, err := databaseName(d.pgURL)
	if err != nil {
		return err
	}
	for {
		err := d.postgres.Restore(ctx, name, backup)
		if err == nil || !strings.Contains(err.Error(), "deadlock detected") || !pause(ctx, 10*time.Millisecond) {
			return err //nolint:wrapcheck // it names the operation
		}
	}
}

// replace puts a copy of the database in its place, and cuts all connections to the
// original.
func (d *deployment) replace(ctx context.Context) error {
	name, err := databaseName(d.pgURL)
	if err != nil {
		return err
	}
	config, err := pgx.ParseConfig(d.pgURL)
	if err != nil {
		return errors.New("parse the database URL") // the reason might quote it
	}
	config.Database = "template1"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("replace the database: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	original, copied := pgx.Identifier{name}.Sanitize(), pgx.Identifier{name + "_copy"}.Sanitize()
	for _, sql := range []string{
		"ALTER DATABASE " + original + " ALLOW_CONNECTIONS false",
		"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = '" + name + "'",
		"CREATE DATABASE " + copied + " TEMPLATE " + original,
		"ALTER DATABASE " + original + " RENAME TO " + pgx.Identifier{name + "_original"}.Sanitize(),
		"ALTER DATABASE " + copied + " RENAME TO " + original,
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("replace the database: %s: %w", sql, err)
		}
	}
	return nil
}
