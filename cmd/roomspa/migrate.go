package main

import (
	"context"
	"fmt"

	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/postgres"
)

type migrateCmd struct {
	Up     migrateUpCmd     `cmd:"" help:"Apply what is missing. Safe to run twice at once."`
	Status migrateStatusCmd `cmd:"" help:"List the migrations and when each was applied."`
	Down   migrateDownCmd   `cmd:"" help:"Take the newest migration back. Data that only it can hold is lost."`
}

type migrateUpCmd struct{ database }

// Run applies what is missing.
func (c *migrateUpCmd) Run(ctx context.Context, std streams) error {
	done, err := postgres.Migrate(ctx, c.options(), logging.New(std.Err, logging.Options{Level: "warn"}))
	if err != nil {
		return err
	}
	if len(done) == 0 {
		_, err = fmt.Fprintln(std.Out, "The schema is up to date.")
		return err
	}
	return list(std, "applied", done)
}

type migrateStatusCmd struct{ database }

// Run lists the migrations.
func (c *migrateStatusCmd) Run(ctx context.Context, std streams) error {
	all, err := postgres.MigrationStatus(ctx, c.options(), logging.New(std.Err, logging.Options{Level: "warn"}))
	if err != nil {
		return err
	}
	return list(std, "", all)
}

type migrateDownCmd struct{ database }

// Run takes the newest migration back.
func (c *migrateDownCmd) Run(ctx context.Context, std streams) error {
	done, err := postgres.MigrateDown(ctx, c.options(), logging.New(std.Err, logging.Options{Level: "warn"}))
	if err != nil {
		return err
	}
	return list(std, "taken back", done)
}

func list(std streams, verb string, migrations []postgres.Migration) error {
	for _, m := range migrations {
		state := verb
		switch {
		case state == "" && m.AppliedAt.IsZero():
			state = "not applied"
		case state == "":
			state = "applied " + m.AppliedAt.UTC().Format("2006-01-02 15:04:05")
		}
		if _, err := fmt.Fprintf(std.Out, "%05d %-24s %s\n", m.Version, m.Name, state); err != nil {
			return err
		}
	}
	return nil
}
