package main

import (
	"context"
	"errors"
	"io"
	"net/url"
	"time"

	"github.com/roomspa/roomspa/internal/inspect"
	"github.com/roomspa/roomspa/internal/tool/connect"
	"github.com/roomspa/roomspa/internal/tool/ctl"
)

type ctlCmd struct {
	Connections ctlConnectionsCmd `cmd:"" help:"List the open sockets of all replicas."`
	Top         ctlTopCmd         `cmd:"" help:"Show rates, sockets, slow rooms and long queues of all replicas."`
	Log         ctlLogCmd         `cmd:"" help:"Raise the log level for a user, a room, one socket or everything, for a time."`
	Trace       ctlTraceCmd       `cmd:"" help:"Follow the frames of a user, a room or one socket, without their text."`
	Close       ctlCloseCmd       `cmd:"" help:"Close sockets, so that their clients connect again."`
}

// Help is shown by --help.
func (*ctlCmd) Help() string {
	return `Looks into all replicas while they run. Any replica answers for all of them within a second, and names those that did not
answer. The commands ask an ops listener: give its URL as --ops (ROOMSPA_OPS) and its token as ROOMSPA_OPS_TOKEN. Without a
token, a replica answers only on its own host, which kubectl port-forward is for.

Examples:
  kubectl port-forward deploy/roomspa 9090
  roomspa ctl connections --user 42
  roomspa ctl top
  roomspa ctl trace --user 42`
}

type ctlConnectionsCmd struct {
	filterFlags
	Sort     string        `default:"age" enum:"age,idle,rtt,queue,held,user" env:"-" help:"Order: age, idle, rtt, queue, held (the greatest first) or user."`
	Limit    int           `placeholder:"N" env:"-" help:"Number of sockets to list, 500 at most. Default: 50, or 20 with --watch."`
	Watch    bool          `env:"-" help:"Refresh the list until Ctrl-C."`
	Interval time.Duration `default:"2s" env:"-" help:"Time between two refreshes."`
	JSON     bool          `name:"json" env:"-" help:"Print JSON, with --watch one object per refresh."`
	replicaFlags
}

// Help is shown by --help.
func (*ctlConnectionsCmd) Help() string {
	return `Lists open sockets: user, room, client, address, age, time since the last byte, round trip of the last ping, messages that
wait, bytes held. OUT and IN count messages. The reference leads to the log, and to roomspa ctl trace --ref.
Exit code: 0, also if a replica did not answer: its name is printed.

Examples:
  roomspa ctl connections --user 42
  roomspa ctl connections --room 1/2 --watch
  roomspa ctl connections --sort queue --min-queue 1
  roomspa ctl connections --dialect classic --min-age 24h --limit 500 --json`
}

// Run lists sockets.
func (c *ctlConnectionsCmd) Run(ctx context.Context, std streams) error {
	q := c.query()
	q.Set("sort", c.Sort)
	if c.Limit == 0 && c.Watch {
		c.Limit = 20
	}
	set(q, "limit", number(int64(c.Limit)))
	if _, err := inspect.ParseConnections(q); err != nil {
		return &exitError{2, err}
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	return refresh(ctx, std, c.Watch, c.Interval, c.JSON, func() (inspect.Connections, error) { return client.Connections(ctx, q) }, ctl.PrintConnections)
}

// refresh prints an answer once, or again and again.
func refresh[T any](ctx context.Context, std streams, watch bool, interval time.Duration, asJSON bool, ask func() (T, error), text func(io.Writer, *T) error) error {
	if interval < 500*time.Millisecond {
		return &exitError{2, errors.New("--interval must be 500ms or more: each refresh asks all replicas")}
	}
	show := func(out io.Writer) error {
		answer, err := ask()
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(out, answer)
		}
		return text(out, &answer)
	}
	if !watch {
		return show(std.Out)
	}
	return ctl.Watch(ctx, std.Out, connect.IsTerminal(std.Out) && !asJSON, interval, show)
}

type ctlTopCmd struct {
	Replica  string        `placeholder:"NAME" env:"-" help:"Only this replica."`
	Limit    int           `default:"10" placeholder:"N" env:"-" help:"Number of rooms and of queues to list, 50 at most."`
	Interval time.Duration `default:"2s" env:"-" help:"Time between two refreshes on a terminal."`
	JSON     bool          `name:"json" env:"-" help:"Print one JSON object."`
	replicaFlags
}

// Help is shown by --help.
func (*ctlTopCmd) Help() string {
	return `Shows what the replicas do, each of them and in sum: messages, positions, handshakes and refusals per second, sockets, memory,
the rooms whose messages took longest in the last minute (commit in Postgres, delivery through Redis), and the sockets with the
longest queues. On a terminal it refreshes until Ctrl-C. Otherwise, and with --json, it prints once.

Examples:
  roomspa ctl top
  roomspa ctl top --json | jq .per_second`
}

// Run shows what the replicas do.
func (c *ctlTopCmd) Run(ctx context.Context, std streams) error {
	q := url.Values{}
	set(q, "replica", c.Replica)
	set(q, "limit", number(int64(c.Limit)))
	if _, err := inspect.ParseTop(q); err != nil {
		return &exitError{2, err}
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	watch := connect.IsTerminal(std.Out) && !c.JSON
	if !watch { // rates need two samples, and those of the first answer are close to each other
		if _, err := client.Top(ctx, q); err != nil {
			return err
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil
		}
	}
	return refresh(ctx, std, watch, c.Interval, c.JSON, func() (inspect.Top, error) { return client.Top(ctx, q) }, ctl.PrintTop)
}
