package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"time"

	"github.com/roomspa/roomspa/internal/inspect"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/tool/connect"
	"github.com/roomspa/roomspa/internal/tool/ctl"
)

type ctlLogCmd struct {
	subjectFlags
	All   bool          `env:"-" group:"Filter" help:"Everything. On busy replicas this is a lot: more than 1,000 lines a second of each are dropped."`
	Level string        `default:"debug" enum:"debug,info" env:"-" help:"Level: debug or info."`
	For   time.Duration `default:"10m" env:"-" help:"Time after which the level ends by itself, 1h at most."`
	List  bool          `env:"-" help:"List the raised levels instead."`
	End   string        `placeholder:"ID" env:"-" help:"End the raised level of this id instead, or all of them: --end all."`
	JSON  bool          `name:"json" env:"-" help:"Print one JSON object."`
	replicaFlags
}

// Help is shown by --help.
func (*ctlLogCmd) Help() string {
	return `Makes all replicas log more, for a time, also those that start meanwhile. The lines are in the log of the replicas: frames
without their text, pings, commits, deliveries. The log says who raised the level, for what, and when it ends.
Exit code: 0, or 1 if a replica did not answer.

Examples:
  roomspa ctl log --user 42 --for 10m
  roomspa ctl log --ref 5y9wf9nkmtdb0j4q
  roomspa ctl log --list
  roomspa ctl log --end all`
}

// Run raises the log level, or lists or ends raised ones.
func (c *ctlLogCmd) Run(ctx context.Context, std streams) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	q, empty := c.query(), "No replica has taken the level."
	var answer inspect.Rules
	switch {
	case c.List:
		empty = "No level is raised."
		answer, err = client.Rules(ctx)
	case c.End == "all":
		empty = "No level was raised."
		answer, err = client.EndRules(ctx, url.Values{"all": {"true"}})
	case c.End != "":
		empty = "There is no such level."
		answer, err = client.EndRules(ctx, url.Values{"id": {c.End}})
	default:
		q.Set("level", c.Level)
		q.Set("for", c.For.String())
		if c.All {
			q.Set("all", "true")
		}
		if _, err := inspect.ParseRule(q); err != nil {
			return &exitError{2, err}
		}
		answer, err = client.Raise(ctx, q)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(std.Out, answer)
	} else {
		err = ctl.PrintRules(std.Out, &answer, empty)
	}
	return cmp.Or(err, complete(&answer.Fleet))
}

// complete returns an error if a replica has not answered.
func complete(f *inspect.Fleet) error {
	if len(f.Missing) > 0 {
		return errPrinted
	}
	return nil
}

type ctlTraceCmd struct {
	subjectFlags
	For  time.Duration `default:"10m" env:"-" help:"Time after which the trace ends, 1h at most."`
	JSON bool          `name:"json" env:"-" help:"Print one JSON object per line."`
	replicaFlags
}

// Help is shown by --help.
func (*ctlTraceCmd) Help() string {
	return `Follows the sockets of a user, of a room, or one socket, on all replicas, until Ctrl-C: each frame with its type, size and
number, pings, commits, deliveries, errors and the close. It shows no text and no token. Each replica sends 1,000 lines a second
at most, and says how many it has dropped.

Examples:
  roomspa ctl trace --user 42
  roomspa ctl trace --room 1/2 --for 1m --json`
}

// Run follows sockets.
func (c *ctlTraceCmd) Run(ctx context.Context, std streams) error {
	q := c.query()
	q.Set("for", c.For.String())
	if _, err := inspect.ParseTrace(q); err != nil {
		return &exitError{2, err}
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	return client.Trace(ctx, q, func(text []byte) error {
		if c.JSON {
			_, err := fmt.Fprintln(std.Out, logging.Printable(string(text), " "))
			return err //nolint:wrapcheck // there is nowhere else to write
		}
		return ctl.PrintLine(std.Out, text)
	})
}

type ctlCloseCmd struct {
	filterFlags
	Yes  bool `env:"-" help:"Do not ask, also if it concerns more than one user."`
	JSON bool `name:"json" env:"-" help:"Print one JSON object."`
	replicaFlags
}

// Help is shown by --help.
func (*ctlCloseCmd) Help() string {
	return `Closes sockets with 1012 closed_by_operator. Their clients connect again after a random delay, to any replica, and resume: no
message is lost. It asks before it closes sockets of more than one user. The log of the replicas says who closed what.
Exit code: 0, or 1 if a replica did not answer: its sockets are still open.

Examples:
  roomspa ctl close --user 42
  roomspa ctl close --ref 5y9wf9nkmtdb0j4q
  roomspa ctl close --replica roomspa-7d9f --yes`
}

// Run closes sockets.
func (c *ctlCloseCmd) Run(ctx context.Context, std streams) error {
	q := c.query()
	if _, err := inspect.ParseClose(q); err != nil {
		return &exitError{2, err}
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	if !c.Yes && c.User == 0 && c.Ref == "" {
		if err := c.confirm(ctx, std, client); err != nil {
			return err
		}
	}
	closed, err := client.Close(ctx, q)
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(std.Out, closed)
	} else {
		err = ctl.PrintClosed(std.Out, &closed)
	}
	return cmp.Or(err, complete(&closed.Fleet))
}

// confirm asks whether to close sockets of more than one user.
func (c *ctlCloseCmd) confirm(ctx context.Context, std streams, client *ctl.Client) error {
	q := url.Values{"limit": {"1"}, "sort": {"age"}}
	maps.Copy(q, c.query())
	found, err := client.Connections(ctx, q)
	if err != nil || found.Total < 2 {
		return err
	}
	what := fmt.Sprintf("This closes %d sockets of %d users on %d replicas", found.Total, found.Users, len(found.Replied))
	if !connect.IsTerminal(std.In) {
		return &exitError{2, errors.New(what + ": add --yes to confirm")}
	}
	if yes, err := ctl.Confirm(std.In, std.Err, what+". Continue? [y/N] "); err != nil || !yes {
		return cmp.Or(err, errors.New("nothing was closed"))
	}
	return nil
}
