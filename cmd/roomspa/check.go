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
	Database bool `env:"-" group:"What to check" help:"Check that Postgres answers, that messages can be stored and users read, and the privileges, row-level security and settings."`
	Redis    bool `env:"-" group:"What to check" help:"Check that Redis answers, that it takes every command that a replica uses, its settings, and that a message published to the channel layer is received."`
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
	return `Checks what a replica needs. It takes the flags and environment of "roomspa serve": load the environment of the replica
first, or run it within a replica. It prints for each dependency its
address (without secrets), its version, the time it took, and what to do if it is unusable. Without --database, --redis,
--schema or --tokens it checks everything, including the other options.

It does what users do: it stores messages in a conversation of its own and rolls back, reads users, looks at each privilege
and at row-level security, and runs every Redis command of a replica. It names the GRANT or the ACL SETUSER that is missing.
It leaves nothing behind but keys in Redis that expire within a second, and gaps of a few in the numbers of messages and
conversations, since sequences do not roll back. Each check ends after 4s.
Exit code: 0 if all checks pass, 1 if one fails.

Examples:
  roomspa check
  roomspa check --database --schema --json
  (set -a; . /etc/roomspa/replica.env; roomspa check)
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
		if r.Warning != "" {
			outcome = "warning"
		}
		if r.Address != "" {
			text = r.Address + "  " + text
		}
		_, err := fmt.Fprintf(out, "%-7s %-14s %s  (%.1f ms)\n", outcome, r.Name, logging.Printable(text, " "), r.TookMS)
		if err == nil && r.Warning != "" {
			_, err = fmt.Fprintf(out, "%22s %s\n", "", logging.Printable(r.Warning, " "))
		}
		if err == nil && r.Advice != "" {
			_, err = fmt.Fprintf(out, "%22s %s\n", "", r.Advice)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
