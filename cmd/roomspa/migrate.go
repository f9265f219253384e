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
	Up     migrateUpCmd     `cmd:"" help:"Apply all pending migrations. Concurrent runs are safe."`
	Status migrateStatusCmd `cmd:"" help:"List the migrations, and when each was applied."`
	Down   migrateDownCmd   `cmd:"" help:"Revert the newest migration. Data that only it can store is lost."`
}

// migrateFlags are common to the three commands.
type migrateFlags struct {
	databaseFlags
	JSON bool `name:"json" env:"-" help:"Print one JSON object."`
}

type (
	migrateUpCmd     struct{ migrateFlags }
	migrateStatusCmd struct{ migrateFlags }
	migrateDownCmd   struct{ migrateFlags }
)

// Help is shown by --help.
func (*migrateUpCmd) Help() string {
	return `Migrates the schema to the version that this program needs; serve never does that. Of two concurrent runs one waits for
the other, also behind PgBouncer (set --database-pooler). Replicas of the previous version keep working. A database that is a
copy of another one gets a deployment id of its own, which is logged.

Examples:
  roomspa migrate up
  roomspa migrate up --json`
}

// Help is shown by --help.
func (*migrateStatusCmd) Help() string {
	return "Changes nothing.\n\nExamples:\n  roomspa migrate status\n  roomspa migrate status --json"
}

// Help is shown by --help.
func (*migrateDownCmd) Help() string {
	return `Reverts one migration. Data that only this migration can store is lost. To roll back the program you do not need this:
every schema works with the previous version too.

Examples:
  roomspa migrate down`
}

// Run applies the pending migrations.
func (c *migrateUpCmd) Run(ctx context.Context, std streams) error {
	applied, err := postgres.Migrate(ctx, c.options(), logging.New(std.Err, logging.Options{}))
	return c.print(std, "applied", "The schema is up to date.", applied, err)
}

// Run lists the migrations.
func (c *migrateStatusCmd) Run(ctx context.Context, std streams) error {
	all, err := postgres.MigrationStatus(ctx, c.options())
	return c.print(std, "", "", all, err)
}

// Run reverts the newest migration.
func (c *migrateDownCmd) Run(ctx context.Context, std streams) error {
	reverted, err := postgres.MigrateDown(ctx, c.options(), logging.New(std.Err, logging.Options{Level: "warn"}))
	return c.print(std, "reverted", "There is no migration to revert.", reverted, err)
}

// print prints migrations, each with a state or, if that is empty, with its own; or the
// text for none. After an error it prints what was done before, and returns the error.
func (c *migrateFlags) print(std streams, state, none string, list []postgres.Migration, failed error) error {
	switch {
	case c.JSON && failed == nil:
		return json.NewEncoder(std.Out).Encode(map[string]any{"migrations": append([]postgres.Migration{}, list...)})
	case len(list) == 0 && failed == nil && none != "":
		_, err := fmt.Fprintln(std.Out, none)
		return err
	}
	for _, m := range list {
		shown := state
		switch {
		case shown == "" && m.AppliedAt.IsZero():
			shown = "not applied"
		case shown == "":
			shown = "applied " + m.AppliedAt.UTC().Format(time.DateTime)
		}
		if _, err := fmt.Fprintf(std.Out, "%05d %-36s %s\n", m.Version, m.Name, shown); err != nil {
			return err
		}
	}
	return failed
}
