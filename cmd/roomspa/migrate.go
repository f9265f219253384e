package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/postgres"
)

type migrateCmd struct {
	Up     migrateUpCmd     `cmd:"" help:"Apply what is missing. Safe to run twice at once."`
	Status migrateStatusCmd `cmd:"" help:"List the migrations and when each was applied."`
	Down   migrateDownCmd   `cmd:"" help:"Take the newest migration back. Data that only it can hold is lost."`
}

// migration is what the three have in common.
type migration struct {
	database
	JSON bool `name:"json" env:"-" help:"Print one JSON object."`
}

type (
	migrateUpCmd     struct{ migration }
	migrateStatusCmd struct{ migration }
	migrateDownCmd   struct{ migration }
)

// Help is shown by --help.
func (*migrateUpCmd) Help() string {
	return `Brings the schema up to this version's. It is never done by serve. Two that run at once are safe: one waits for the
other, also behind PgBouncer (say so with --database-pooler). Replicas of the version before go on working.

Examples:
  roomspa migrate up
  roomspa migrate up --json`
}

// Help is shown by --help.
func (*migrateStatusCmd) Help() string {
	return "It changes nothing.\n\nExamples:\n  roomspa migrate status\n  roomspa migrate status --json"
}

// Help is shown by --help.
func (*migrateDownCmd) Help() string {
	return `One step at a time. A rollback of the program needs none: a schema serves the version before too. What only this
step can hold is lost.

Examples:
  roomspa migrate down`
}

// Run applies what is missing.
func (c *migrateUpCmd) Run(ctx context.Context, std streams) error {
	done, err := postgres.Migrate(ctx, c.options(), logging.New(std.Err, logging.Options{Level: "warn"}))
	if err == nil && len(done) == 0 && !c.JSON {
		_, err = fmt.Fprintln(std.Out, "The schema is up to date.")
		return err
	}
	return c.list(std, "applied", done, err)
}

// Run lists the migrations.
func (c *migrateStatusCmd) Run(ctx context.Context, std streams) error {
	all, err := postgres.MigrationStatus(ctx, c.options())
	return c.list(std, "", all, err)
}

// Run takes the newest migration back.
func (c *migrateDownCmd) Run(ctx context.Context, std streams) error {
	done, err := postgres.MigrateDown(ctx, c.options(), logging.New(std.Err, logging.Options{Level: "warn"}))
	if err == nil && len(done) == 0 && !c.JSON {
		_, err = fmt.Fprintln(std.Out, "There is nothing to take back.")
		return err
	}
	return c.list(std, "taken back", done, err)
}

// list prints steps. Those that were taken before an error are printed too.
func (c *migration) list(std streams, verb string, steps []postgres.Migration, failed error) error {
	if c.JSON && failed == nil {
		return json.NewEncoder(std.Out).Encode(map[string]any{"migrations": append([]postgres.Migration{}, steps...)})
	}
	for _, m := range steps {
		state := verb
		switch {
		case state == "" && m.AppliedAt.IsZero():
			state = "not applied"
		case state == "":
			state = "applied " + m.AppliedAt.UTC().Format(time.DateTime)
		}
		if _, err := fmt.Fprintf(std.Out, "%05d %-36s %s\n", m.Version, m.Name, state); err != nil {
			return err
		}
	}
	return failed
}
