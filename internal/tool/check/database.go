package check

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/ops"
	"github.com/roomspa/roomspa/internal/postgres"
)

// databaseChecks checks Postgres: that it answers, and with the statements of users that the role
// may do what a replica does.
func databaseChecks(ctx context.Context, o app.Options, server, schema bool) (checks []ops.Check, closeDB func()) {
	const advice = "Set --database-url or ROOMSPA_DATABASE_URL, as in postgres://user:password@host:5432/name."
	options, size := o.Postgres(), o.DatabaseMaxConnections
	options.MaxConnections = 6 // one for each check
	db, err := postgres.Open(ctx, options, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	add := func(name string, run func(context.Context) (string, error), warn func(context.Context) error) {
		c := ops.Check{Name: name, Run: run, Warn: warn}
		if err != nil {
			c = failed(name, err, advice)
		} else {
			c.Address = db.Address()
		}
		checks = append(checks, c)
	}
	if server {
		add("database", func(ctx context.Context) (string, error) { return db.CheckServer(ctx) }, nil)
	}
	if schema {
		add("schema", func(ctx context.Context) (string, error) { return checkSchema(ctx, db) }, nil)
	}
	if err != nil {
		return checks, func() {}
	}
	if server {
		var found postgres.Settings
		add("privileges", db.CheckPrivileges, nil)
		add("users", db.CheckUsers, nil)
		add("message", db.CheckMessage, nil)
		add("settings", func(ctx context.Context) (string, error) {
			s, err := db.CheckSettings(ctx, size)
			found = s
			return s.Detail, err
		}, func(context.Context) error { return join(found.Warnings) })
	}
	return checks, db.Close
}

// checkSchema checks the schema. It also returns the identity of the deployment as text: it is
// in the names of keys and channels, and replicas name each other by it.
func checkSchema(ctx context.Context, db *postgres.DB) (detail string, err error) {
	if detail, err = db.CheckSchema(ctx); err != nil {
		return detail, err
	}
	d, err := db.Deployment(ctx)
	if err != nil {
		return detail, err
	}
	return fmt.Sprintf("%s, deployment %s, timeline %d", detail, d.ID, d.Timeline), nil
}
