package main

import (
	"context"
	"encoding/json"
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
	Django importDjangoCmd `cmd:"" help:"Bring users, conversations and messages over from the predecessor's database."`
}

type importDjangoCmd struct {
	databaseFlags
	From     string               `required:"" env:"ROOMSPA_IMPORT_FROM" placeholder:"URL" group:"The predecessor" help:"Its database, as in postgres://user:password@host:5432/name. It is only read."`
	Role     map[string]room.Role `env:"-" placeholder:"THEIRS=OURS" mapsep:"," group:"The predecessor" help:"Translate roles, as in client=customer,admin=support. Others stand for themselves."`
	TimeZone string               `default:"UTC" env:"-" placeholder:"ZONE" group:"The predecessor" help:"Of its times, where they have none (USE_TZ = False)."`
	NoUsers  bool                 `env:"-" group:"The predecessor" help:"Leave the users out: roomspa.users is a view over the predecessor's."`
	tableNames

	Rehearse bool `env:"-" help:"Write nothing; count, and name the problems."`
	JSON     bool `name:"json" env:"-" help:"Print one JSON object."`
}

// Help is shown by --help.
func (*importDjangoCmd) Help() string {
	return `Users come with their ids and password hashes and sign in with their old passwords; messages are numbered by their
times. It may be repeated: only what is new is added. What cannot come over is left out, counted and named.
Progress goes to standard error. Exit code: 0 if everything came over, 1 if something was left out.
See docs/migration.md for how to cut over.

Examples:
  roomspa import django --from postgres://reader:secret@old-db/app --rehearse
  roomspa import django --role client=customer,provider=therapist --users-table accounts_user`
}

// Run imports.
func (c *importDjangoCmd) Run(ctx context.Context, std streams) error {
	o := c.options()
	o.StatementTimeout, o.LockTimeout = time.Minute, 10*time.Second // nobody waits for an answer
	db, err := postgres.Open(ctx, o, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		return &exitError{2, fmt.Errorf("--database-url: %w", err)}
	}
	defer db.Close()
	if _, err := db.Probe(ctx); err != nil {
		return err
	}
	report, err := adopt.Import(ctx, adopt.Options{
		URL: c.From, Tables: c.tables(), Roles: c.Role, TimeZone: c.TimeZone, NoUsers: c.NoUsers, Rehearse: c.Rehearse,
		Progress: func(r adopt.Report) { _, _ = fmt.Fprintln(std.Err, r) },
	}, db)
	if err != nil {
		return fmt.Errorf("%w; what was added until then stays, so run it again: %v", err, report)
	}
	if c.JSON {
		e := json.NewEncoder(std.Out)
		e.SetIndent("", "  ")
		err = e.Encode(report)
	} else {
		err = printReport(std.Out, report)
	}
	if err == nil && !report.Whole() {
		err = &exitError{1, errors.New("")} // the report has said it
	}
	return err
}
