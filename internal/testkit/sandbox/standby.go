package sandbox

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"
)

// ReplicationSettings returns TestSettings of a server that standbys can follow.
func ReplicationSettings() map[string]string {
	all := TestSettings()
	maps.Copy(all, map[string]string{"wal_level": "replica", "max_wal_senders": "4", "hot_standby": "on", "wal_keep_size": "256MB"})
	return all
}

// StartStandby starts a server that follows another one by asynchronous streaming replication, and is read-only until it
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

// Dir returns the directory of the server.
func (p *Postgres) Dir() string { return p.dir }
