package sandbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// ReplicationSettings returns TestSettings of a server that standbys can follow.
func ReplicationSettings() map[string]string {
	all := TestSettings()
	maps.Copy(all, map[string]string{"wal_level": "replica", "max_wal_senders": "4", "hot_standby": "on", "wal_keep_size": "256MB"})
	return all
}

// StartStandby starts a server that follows another one by streaming replication, and is read-only until it
// is promoted. It connects to the primary at the address via, which may be that of a proxy. Both need ReplicationSettings.
func StartStandby(ctx context.Context, primary *Postgres, via string, o PostgresOptions) (*Postgres, error) {
	o.QuickInit = false
	p, err := newPostgres(ctx, o, func(ctx context.Context, c cluster) (string, error) { return c.copyPrimary(ctx, primary, via) })
	if err != nil {
		return nil, fmt.Errorf("start a standby: %w", err)
	}
	if err := p.start(ctx, o.Port); err != nil {
		return nil, fmt.Errorf("start a standby: %w", err)
	}
	return p, nil
}

// copyPrimary makes the cluster with pg_basebackup, which also writes how to connect to the primary.
func (c cluster) copyPrimary(ctx context.Context, primary *Postgres, via string) (string, error) {
	if err := os.WriteFile(filepath.Join(c.dir, "password"), []byte(primary.password), 0o600); err != nil {
		return "", fmt.Errorf("copy the password: %w", err)
	}
	unfinished, err := c.makeUnfinished()
	if err != nil {
		return "", err
	}
	source := "postgres://" + superuser + ":" + primary.password + "@" + via + "/postgres?sslmode=disable"
	if out, err := c.run(ctx, c.tools.path("pg_basebackup"), "--pgdata="+unfinished, "--dbname="+source,
		"--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync"); err != nil {
		return "", fmt.Errorf("run pg_basebackup: %w: %s", err, out)
	}
	if err := os.Rename(unfinished, c.data()); err != nil {
		return "", fmt.Errorf("rename the data directory: %w", err)
	}
	return primary.password, nil
}

// Promote makes a standby a primary, and returns when it accepts writes. It has what it had received of the primary.
func (p *Postgres) Promote(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.URL("postgres"))
	if err != nil {
		return fmt.Errorf("promote a standby: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var promoted bool
	if err := conn.QueryRow(ctx, "SELECT pg_promote()").Scan(&promoted); err != nil || !promoted {
		return fmt.Errorf("promote a standby: %w (promoted: %v)", err, promoted)
	}
	return nil
}

// StartRedisReplica starts a server with the password of another one, which it follows, and returns when it has the data of
// that one. It is read-only until it is promoted or restarted.
func StartRedisReplica(ctx context.Context, master *Redis, o RedisOptions) (*Redis, error) {
	o.Settings = maps.Clone(o.Settings)
	if o.Settings == nil {
		o.Settings = map[string]string{}
	}
	o.Settings["requirepass"], o.Settings["masterauth"] = master.password, master.password
	r, err := StartRedis(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := r.follow(ctx, master); err != nil {
		return nil, errors.Join(fmt.Errorf("start a replica of redis: %w", err), r.Kill())
	}
	return r, nil
}

// follow makes r a replica of master, and returns when it has its data. redis.conf does not name the master: that would
// outlive the promotion.
func (r *Redis) follow(ctx context.Context, master *Redis) (err error) {
	client := r.client()
	defer func() { err = errors.Join(err, client.Close()) }()
	if err := client.SlaveOf(ctx, "127.0.0.1", strconv.Itoa(master.port)).Err(); err != nil {
		return err //nolint:wrapcheck // the caller says what it was for
	}
	for {
		info, err := client.Info(ctx, "replication").Result()
		if err != nil || strings.Contains(info, "master_link_status:up") {
			return err //nolint:wrapcheck // the caller says what it was for
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for its data: %w", ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Promote makes a replica a master. It has what it had received of the other one.
func (r *Redis) Promote(ctx context.Context) error {
	client := r.client()
	if err := errors.Join(client.SlaveOf(ctx, "NO", "ONE").Err(), client.Close()); err != nil {
		return fmt.Errorf("promote a replica of redis: %w", err)
	}
	return nil
}
