package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/postgres"
)

// database says where Postgres is, for commands that work on it.
type database struct {
	DatabaseURL    string `name:"database-url" required:"" placeholder:"URL" group:"Postgres" help:"Postgres, as in postgres://user:password@host:5432/name."`
	DatabasePooler string `name:"database-pooler" default:"none" enum:"none,pgbouncer" group:"Postgres" help:"What stands in front of Postgres: none, or pgbouncer in transaction mode."`
}

func (d *database) options() postgres.Options {
	return postgres.Options{URL: d.DatabaseURL, PgBouncer: d.DatabasePooler == "pgbouncer"}
}

// open is for calls that need no Run.
func (d *database) open(ctx context.Context) (*postgres.DB, error) {
	db, err := postgres.Open(ctx, d.options(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		return nil, &exitError{2, fmt.Errorf("--database-url: %w", err)}
	}
	return db, nil
}
