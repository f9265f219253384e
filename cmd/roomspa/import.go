package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/tool/adopt"
)

type importCmd struct {
	Django importDjangoCmd `cmd:"" help:"Import users, conversations and messages from the database of the predecessor, a Django application."`
}

type importDjangoCmd struct {
	databaseFlags
	From         string               `required:"" env:"ROOMSPA_IMPORT_FROM" placeholder:"URL" group:"The predecessor" help:"URL of its database, as in postgres://user:password@host:5432/name. The import only reads there."`
	Role         map[string]room.Role `env:"-" placeholder:"THEIRS=OURS" mapsep:"," group:"The predecessor" help:"Map roles of the predecessor, as in client=customer,admin=support. Other roles stay the same."`
	TimeZone     string               `default:"UTC" env:"-" placeholder:"ZONE" group:"The predecessor" help:"Time zone of times without one (USE_TZ = False)."`
	NoUsers      bool                 `env:"-" group:"The predecessor" help:"Do not import users: roomspa.users is a view over the predecessor's table."`
	adopt.Tables `group:"Tables and columns of the predecessor"`

	Rehearse bool `env:"-" help:"Write nothing; report what the import would do."`
	JSON     bool `name:"json" env:"-" help:"Print the report as one JSON object."`
}

// Help is shown by --help.
func (*importDjangoCmd) Help() string {
	return `Users keep their ids, and sign in with their old passwords. Messages are numbered by their times. The import may be
repeated and then adds only new rows. Rows that cannot be imported are left out and reported.
Progress is printed to standard error. Exit code: 0 if everything was imported, 1 if rows were left out.
docs/migration.md explains how to cut over.

Examples:
  roomspa import django --from postgres://reader:secret@old-db/app --rehearse
  roomspa import django --role client=customer,provider=therapist --users-table accounts_user`
}

// Run runs the import and prints the report.
func (c *importDjangoCmd) Run(ctx context.Context, std streams) error {
	o := c.options()
	o.StatementTimeout, o.LockTimeout = time.Minute, 10*time.Second // no user waits for it
	db, err := postgres.Open(ctx, o, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		return &exitError{2, fmt.Errorf("--database-url: %w", err)}
	}
	defer db.Close()
	if _, err := db.Probe(ctx); err != nil {
		return err
	}
	report, err := adopt.Import(ctx, adopt.Options{
		URL: c.From, Tables: c.Tables, Roles: c.Role, TimeZone: c.TimeZone, NoUsers: c.NoUsers, Rehearse: c.Rehearse,
		Progress: func(r adopt.Report) { _, _ = fmt.Fprintln(std.Err, r) },
	}, db)
	if err != nil {
		return fmt.Errorf("%w; the rows added so far remain (%v): run the import again to add the rest", err, report)
	}
	if c.JSON {
		err = printJSON(std.Out, report)
	} else {
		err = report.WriteText(std.Out)
	}
	if err == nil && !report.Complete() {
		err = &exitError{1, errors.New("")} // the report explains it
	}
	return err
}
