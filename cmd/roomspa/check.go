package main

import (
	"context"
	"fmt"
	"io"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/ops"
	"github.com/roomspa/roomspa/internal/tool/check"
)

type checkCmd struct {
	Database bool `env:"-" group:"What to check" help:"Check that Postgres answers and accepts writes."`
	Redis    bool `env:"-" group:"What to check" help:"Check that Redis answers and accepts writes, and that a message published to the channel layer is received."`
	Schema   bool `env:"-" group:"What to check" help:"Check that the database schema fits this version."`
	Tokens   bool `env:"-" group:"What to check" help:"Check the secrets that sign and verify tokens."`
	JSON     bool `name:"json" env:"-" group:"What to check" help:"Print one JSON object."`

	Options unvalidated `embed:""`
}

// unvalidated is app.Options without Validate: the parser would call that, and report
// as wrong usage what check reports as a failed check.
type unvalidated app.Options

// Help is shown by --help.
func (*checkCmd) Help() string {
	return `Checks what a replica needs. It takes the flags and environment of "roomspa serve", and prints for each dependency its
address (without secrets), its version, the time it took, and what to do if it is unusable. Without --database, --redis,
--schema or --tokens it checks everything, including the other options. It changes nothing, except that it writes a key to
Redis that expires within a minute.
Exit code: 0 if all checks pass, 1 if one fails.

Examples:
  roomspa check
  roomspa check --database --schema --json
  kubectl exec deploy/roomspa -- roomspa check`
}

// Run checks, and prints the results.
func (c *checkCmd) Run(ctx context.Context, std streams) error {
	results, ok := check.Run(ctx, app.Options(c.Options), check.Selection{Database: c.Database, Redis: c.Redis, Schema: c.Schema, Tokens: c.Tokens})
	err := printResults(std.Out, results, ok, c.JSON)
	if err == nil && !ok {
		err = errPrinted
	}
	return err
}

func printResults(out io.Writer, results []ops.Result, ok, asJSON bool) error {
	if asJSON {
		return printJSON(out, map[string]any{"ok": ok, "checks": results})
	}
	for _, r := range results {
		outcome, text := "ok", r.Detail
		if !r.OK {
			outcome, text = "FAILED", r.Error
		}
		if r.Address != "" {
			text = r.Address + "  " + text
		}
		_, err := fmt.Fprintf(out, "%-7s %-14s %s  (%.1f ms)\n", outcome, r.Name, logging.Printable(text, " "), r.TookMS)
		if err == nil && r.Advice != "" {
			_, err = fmt.Fprintf(out, "%22s %s\n", "", r.Advice)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
