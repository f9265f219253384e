package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Dial opens one connection for a tool that runs statements of its own, without the timeouts of
// a replica. Its errors contain no secret. The caller closes the connection.
func Dial(ctx context.Context, o Options, application string) (*pgx.Conn, error) {
	o = o.withDefaults()
	pool, err := poolConfig(o)
	if err != nil {
		return nil, err
	}
	cfg := pool.ConnConfig
	cfg.RuntimeParams["application_name"] = application
	if o.PgBouncer {
		cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	} else {
		delete(cfg.RuntimeParams, "plan_cache_mode")
		for _, name := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
			cfg.RuntimeParams[name] = "0"
		}
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		f := classify(ctx, err)
		f.detail = redact(f.detail, cfg.Password)
		return nil, fmt.Errorf("connect: %w", f)
	}
	return conn, nil
}
