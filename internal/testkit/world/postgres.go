package world

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/postgres"
)

// Patient replaces the timeouts that a test has not set by ones that a busy machine does not
// reach.
func Patient(o postgres.Options) postgres.Options {
	o.AcquireTimeout = cmp.Or(o.AcquireTimeout, Limit)
	o.StatementTimeout = cmp.Or(o.StatementTimeout, Limit)
	o.LockTimeout = cmp.Or(o.LockTimeout, Limit)
	return o
}

// OpenDB opens a database as a replica does. Timeouts that are not set are patient. The end of
// the test closes it.
func OpenDB(t testing.TB, o postgres.Options, log *slog.Logger, reg *prometheus.Registry) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), Patient(o), log, reg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { db.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		db.Close()
	})
	return db
}

// OpenPostgres opens the database of the world as a replica does. The end of the test closes it.
func (w *World) OpenPostgres(t testing.TB) *postgres.DB {
	t.Helper()
	return OpenDB(t, postgres.Options{URL: w.DatabaseURL}, slog.New(slog.NewTextHandler(t.Output(), nil)), prometheus.NewRegistry())
}
