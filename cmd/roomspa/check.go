package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/ops"
)

type checkCmd struct {
	Database bool `env:"-" group:"What to check" help:"Postgres: does it answer, and accept writes?"`
	Redis    bool `env:"-" group:"What to check" help:"Redis, and a message of our own over the channel layer."`
	Schema   bool `env:"-" group:"What to check" help:"The schema: is it the one that this version needs?"`
	Tokens   bool `env:"-" group:"What to check" help:"The secrets that sign and verify tokens."`
	JSON     bool `name:"json" env:"-" group:"What to check" help:"Print one JSON object."`

	Options unjudged `embed:""`
}

// unjudged are the options of a replica without their Validate: the parser would call
// it, and refuse as wrong usage what is one of the checks.
type unjudged app.Options

// Help is shown by --help.
func (*checkCmd) Help() string {
	return `Is what a replica needs there? Takes the flags and the environment of "roomspa serve", and says of each
dependency where it is (without secrets), what it is, how long it took, and what to do if it cannot be used.
Without a choice everything is checked, the rest of the configuration too. Nothing is changed, but for a key in Redis that lives for a minute at most.
Exit code: 0 if all is well, 1 if not.

Examples:
  roomspa check
  roomspa check --database --schema --json
  kubectl exec deploy/roomspa -- roomspa check`
}

// Run checks, and prints what was found.
func (c *checkCmd) Run(ctx context.Context, std streams) error {
	findings, ok := app.Check(ctx, app.Options(c.Options), app.Selection{Database: c.Database, Redis: c.Redis, Schema: c.Schema, Tokens: c.Tokens})
	err := printFindings(std.Out, findings, ok, c.JSON)
	if err == nil && !ok {
		err = &exitError{1, errors.New("")} // the findings have said it
	}
	return err
}

func printFindings(out io.Writer, findings []ops.Finding, ok, asJSON bool) error {
	if asJSON {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(map[string]any{"ok": ok, "checks": findings})
	}
	for _, f := range findings {
		outcome, text := "ok", f.Detail
		if !f.OK {
			outcome, text = "FAILED", f.Error
		}
		if f.Address != "" {
			text = f.Address + "  " + text
		}
		_, err := fmt.Fprintf(out, "%-7s %-14s %s  (%.1f ms)\n", outcome, f.Name, text, f.TookMS)
		if err == nil && f.Advice != "" {
			_, err = fmt.Fprintf(out, "%22s %s\n", "", f.Advice)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
