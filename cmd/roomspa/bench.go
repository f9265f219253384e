package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/tool/bench"
	"github.com/roomspa/roomspa/internal/unseen"
)

type benchCmd struct {
	URLs []string `arg:"" name:"url" help:"URLs of the servers, as in wss://host. With several, the two sides of a room connect to different ones."`

	Kind        string `default:"chat" enum:"chat,location" env:"-" group:"Load" help:"Endpoint to load: chat or location."`
	Mix         string `default:"plain" enum:"plain,full" env:"-" group:"Load" help:"Frames on chat sockets: plain (messages only) or full (receivers also send delivered and read for each message, and senders send typing every 2 seconds)."`
	Connections int    `short:"n" default:"100" env:"-" group:"Load" help:"Number of sockets to open."`
	Rooms       int    `placeholder:"N" env:"-" group:"Load" help:"Number of rooms to spread the sockets over. Default: two sockets per room."`
	Fanout      int    `placeholder:"N" env:"-" group:"Load" help:"Open one room of N sockets, of which one sends. Replaces --connections and --rooms."`

	Rate    float64       `placeholder:"N" env:"-" group:"Load" help:"Messages per second of all senders together, on a fixed schedule. Latency counts from a message's scheduled time. Default: one per sender."`
	Max     bool          `env:"-" group:"Load" help:"Send as fast as possible: each sender sends its next message when the whole room has received its last one."`
	Idle    bool          `env:"-" group:"Load" help:"Keep the sockets open without load, to measure memory."`
	Touch   bool          `env:"-" group:"Load" help:"Send one message from every sender before the measurement. Applies only with --idle."`
	For     time.Duration `default:"10s" env:"-" group:"Load" help:"Length of the measurement."`
	Warm    time.Duration `default:"1s" env:"-" group:"Load" help:"How long to send before the measurement begins."`
	Drain   time.Duration `default:"10s" env:"-" group:"Load" help:"Longest wait for late deliveries after the measurement."`
	Size    int           `default:"64" env:"-" group:"Load" help:"Length of a chat message in bytes."`
	Dialers int           `default:"64" env:"-" group:"Load" help:"Number of concurrent handshakes."`
	Timeout time.Duration `default:"20s" env:"-" group:"Load" help:"Time limit for one handshake."`

	JWTSecret  []string `name:"jwt-secret" sep:"none" placeholder:"SECRET" group:"Users" help:"Secret to sign the users' tokens with. Prefer ROOMSPA_JWT_SECRET or ROOMSPA_JWT_SECRET_FILE, which other users of this machine cannot see."`
	Users      string   `default:"1-2000" env:"-" group:"Users" help:"Range of user ids: customers and therapists in turn, beginning with a customer."`
	TokensFile string   `placeholder:"FILE" env:"-" group:"Users" help:"File of existing tokens, one line each: customer id, therapist id, token of one of the two. Replaces --jwt-secret and --users."`

	Ops  []string `placeholder:"URL" sep:"," env:"-" group:"Replicas" help:"URLs of ops listeners, to read the memory and CPU of replicas from their metrics."`
	PID  []int    `name:"pid" placeholder:"PID" sep:"," env:"-" group:"Replicas" help:"Comma-separated process ids of replicas on this machine. The report includes their memory and CPU."`
	JSON bool     `name:"json" env:"-" help:"Print the report as one JSON object."`
}

// Run generates the load and prints the report.
func (c *benchCmd) Run(ctx context.Context, std streams) error {
	o, err := c.options()
	if err != nil {
		return &exitError{2, err}
	}
	o.Progress = std.Err
	report, err := bench.Run(ctx, o)
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(std.Out, report)
	} else {
		err = report.WriteText(std.Out)
	}
	if err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	if report.Failed() {
		return errors.New("messages were lost, repeated, reordered or misdelivered")
	}
	return nil
}

func (c *benchCmd) options() (o bench.Options, err error) {
	o = bench.Options{
		URLs: c.URLs, Kind: c.Kind, Mix: c.Mix, Sockets: c.Connections, Rooms: c.Rooms, Rate: c.Rate, Max: c.Max, Touch: c.Touch,
		Warm: c.Warm, For: c.For, Drain: c.Drain, Size: c.Size, Dialers: c.Dialers, HandshakeTimeout: c.Timeout,
		Ops: c.Ops, PIDs: c.PID,
	}
	senders := o.Sockets
	switch {
	case c.Fanout > 0:
		o.Sockets, o.Rooms, senders = c.Fanout, 1, 1
	case o.Rooms == 0:
		o.Rooms = max(1, o.Sockets/2)
	default:
		senders = min(o.Sockets, 2*o.Rooms)
	}
	switch {
	case c.Idle && (c.Max || c.Rate > 0):
		return o, errors.New("--idle cannot be combined with --rate or --max")
	case !c.Idle && !c.Max && c.Rate == 0:
		o.Rate = float64(senders)
	}
	if c.TokensFile != "" {
		text, err := os.ReadFile(c.TokensFile)
		if err != nil {
			return o, fmt.Errorf("read --tokens-file: %w", err)
		}
		lines, err := unseen.File(text)
		if err == nil {
			o.Seats, err = bench.ParseSeats(lines)
		}
		if err != nil {
			return o, fmt.Errorf("--tokens-file: %w", err)
		}
	} else if secrets := auth.ParseSecrets(c.JWTSecret...); len(secrets) > 0 {
		if o.Keys, err = auth.NewKeys(secrets); err != nil {
			return o, fmt.Errorf("--jwt-secret: %w", err)
		}
	}
	first, last, _ := strings.Cut(c.Users, "-")
	from, err := strconv.ParseInt(first, 10, 64)
	to, err2 := strconv.ParseInt(last, 10, 64)
	if err != nil || err2 != nil {
		return o, fmt.Errorf("--users must be a range of ids, as in 1-2000, not %q", c.Users)
	}
	o.First, o.Last = room.UserID(from), room.UserID(to)
	return o, o.Validate()
}
