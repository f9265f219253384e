package soak

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

// failOverPostgres starts a standby that all commits wait for, kills the primary after a time, and promotes the standby.
// The address that the replicas know then leads to it, as with a managed Postgres.
func (d *deployment) failOverPostgres(ctx context.Context, duration time.Duration) error {
	repair, cancel := repairContext(ctx)
	defer cancel()
	old := d.postgres
	dir, err := os.MkdirTemp(filepath.Dir(old.Dir()), "standby-")
	if err != nil {
		return fmt.Errorf("make the directory of a standby: %w", err)
	}
	standby, err := sandbox.StartStandby(repair, old, old.Addr(), sandbox.PostgresOptions{
		Dir: dir, Settings: sandbox.ReplicationSettings(), Log: d.storeLog,
	})
	if err != nil {
		return err //nolint:wrapcheck // it names the operation
	}
	if err := waitForStandby(repair, old.URL("postgres")); err != nil {
		return errors.Join(err, standby.Kill(), old.Kill()) // else commits would wait for ever
	}
	pause(ctx, duration)
	err = old.Kill()
	if err == nil {
		err = standby.Promote(repair)
	}
	if err != nil {
		return errors.Join(err, standby.Kill())
	}
	d.postgres, d.pgURL = standby, standby.URL(database)
	for _, r := range d.replicas {
		r.postgres.Retarget(standby.Addr())
	}
	return removeDir(old.Dir())
}

// waitForStandby makes commits wait until a standby has them. It returns when they do, and the standby has all earlier ones.
func waitForStandby(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("replicate synchronously: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	// Commits wait once the checkpointer has read the new setting, which it does before it makes a checkpoint.
	for _, sql := range []string{"ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()", "CHECKPOINT"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("replicate synchronously: %w", err)
		}
	}
	var end string
	if err := conn.QueryRow(ctx, "SELECT pg_current_wal_insert_lsn()::text").Scan(&end); err != nil {
		return fmt.Errorf("replicate synchronously: %w", err)
	}
	const synchronous = "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync' AND flush_lsn >= $1::text::pg_lsn)"
	for done := false; !done; {
		if err := conn.QueryRow(ctx, synchronous, end).Scan(&done); err != nil {
			return fmt.Errorf("replicate synchronously: %w", err)
		}
		pause(ctx, 10*time.Millisecond)
	}
	return nil
}

// failOverRedis does the same with Redis, whose replication is always asynchronous.
func (d *deployment) failOverRedis(ctx context.Context, duration time.Duration) error {
	repair, cancel := repairContext(ctx)
	defer cancel()
	old := d.redis
	dir, err := os.MkdirTemp(filepath.Dir(old.Dir()), "redis-replica-")
	if err != nil {
		return fmt.Errorf("make the directory of a replica of Redis: %w", err)
	}
	next, err := sandbox.StartRedisReplica(repair, old, sandbox.RedisOptions{Dir: dir, Settings: sandbox.RedisTestSettings()})
	if err != nil {
		return err //nolint:wrapcheck // it names the operation
	}
	pause(ctx, duration)
	err = old.Kill()
	if err == nil {
		err = next.Promote(repair)
	}
	if err != nil {
		return errors.Join(err, next.Kill())
	}
	d.redis, d.redisURL = next, next.URL()
	for _, r := range d.replicas {
		r.redis.Retarget(next.Addr())
	}
	return removeDir(old.Dir())
}

func removeDir(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove the data of a server that was replaced: %w", err)
	}
	return nil
}
