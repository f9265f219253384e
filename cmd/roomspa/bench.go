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
)

type benchCmd struct {
	URLs []string `arg:"" name:"url" help:"The servers, as in wss://host. The two sides of a room are on different ones where several are given."`

	Kind        string `default:"chat" enum:"chat,location" env:"-" group:"Load" help:"chat or location."`
	Connections int    `short:"n" default:"100" env:"-" group:"Load" help:"Sockets to open."`
	Rooms       int    `placeholder:"N" env:"-" group:"Load" help:"Rooms to spread them over. Default: two sockets a room."`
	Fanout      int    `placeholder:"N" env:"-" group:"Load" help:"One room of N sockets, one of which sends, in place of --connections and --rooms."`

	Rate    float64       `placeholder:"N" env:"-" group:"Load" help:"Messages a second of all senders together, sent by a fixed schedule; latency counts from when a message was due. Default: one for each sender."`
	Max     bool          `env:"-" group:"Load" help:"Send as fast as it goes: each sender's next message when its last one has reached the whole room."`
	Idle    bool          `env:"-" group:"Load" help:"Only hold the sockets, to measure memory."`
	Touch   bool          `env:"-" group:"Load" help:"With --idle: every sender sends one message first."`
	For     time.Duration `default:"10s" env:"-" group:"Load" help:"How long it is measured."`
	Warm    time.Duration `default:"1s" env:"-" group:"Load" help:"How long it is sent before that."`
	Drain   time.Duration `default:"10s" env:"-" group:"Load" help:"How long late deliveries are waited for."`
	Size    int           `default:"64" env:"-" group:"Load" help:"Length of a chat message in bytes."`
	Dialers int           `default:"64" env:"-" group:"Load" help:"Handshakes in flight at once."`
	Timeout time.Duration `default:"20s" env:"-" group:"Load" help:"How long a handshake may take."`

	JWTSecret  []string `name:"jwt-secret" sep:"," placeholder:"SECRET" group:"Who" help:"Secret to mint the tokens with; better in ROOMSPA_JWT_SECRET or ROOMSPA_JWT_SECRET_FILE than here."`
	Users      string   `default:"1-2000" env:"-" group:"Who" help:"Range of the users, customers and therapists in turn (customers have the odd ids if it begins with one)."`
	TokensFile string   `placeholder:"FILE" env:"-" group:"Who" help:"Lines of a customer's id, a therapist's id and the token of one of the two, in place of both."`

	Ops  []string `placeholder:"URL" sep:"," env:"-" group:"Replicas" help:"Ops listeners whose /metrics tell memory and CPU."`
	PID  []int    `name:"pid" placeholder:"PID" sep:"," env:"-" group:"Replicas" help:"Processes on this machine whose memory and CPU are read."`
	JSON bool     `name:"json" env:"-" help:"Print one JSON object instead of a text."`
}

// Run makes the load and prints what it found.
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
	write := report.WriteText
	if c.JSON {
		write = report.WriteJSON
	}
	if err := write(std.Out); err != nil {
		return err
	}
	if report.Bad() {
		return errors.New("messages were lost, repeated or out of order")
	}
	return nil
}

func (c *benchCmd) options() (o bench.Options, err error) {
	o = bench.Options{
		URLs: c.URLs, Kind: c.Kind, Sockets: c.Connections, Rooms: c.Rooms, Rate: c.Rate, Max: c.Max, Touch: c.Touch,
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
		return o, errors.New("--idle excludes --rate and --max")
	case !c.Idle && !c.Max && c.Rate == 0:
		o.Rate = float64(senders)
	}
	if c.TokensFile != "" {
		text, err := os.ReadFile(c.TokensFile)
		if err != nil {
			return o, fmt.Errorf("read --tokens-file: %w", err)
		}
		if o.Seats, err = bench.ParseSeats(string(text)); err != nil {
			return o, fmt.Errorf("--tokens-file: %w", err)
		}
	} else if len(c.JWTSecret) > 0 {
		if o.Keys, err = auth.NewKeys(c.JWTSecret); err != nil {
			return o, fmt.Errorf("--jwt-secret: %w", err)
		}
	}
	first, last, _ := strings.Cut(c.Users, "-")
	from, err := strconv.ParseInt(first, 10, 64)
	to, err2 := strconv.ParseInt(last, 10, 64)
	if err != nil || err2 != nil {
		return o, fmt.Errorf("--users is a range of ids, as in 1-2000, not %q", c.Users)
	}
	o.First, o.Last = room.UserID(from), room.UserID(to)
	return o, o.Validate()
}
