// Package bench implements `roomspa bench`. It opens many sockets to running
// replicas, sends messages through them and reports delivery, latency and cost. It
// starts no servers.
//
// Each message carries the number of its sender and a sequence number. From these
// the package finds messages that were lost, repeated, reordered or delivered to the
// wrong room.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/room"
)

// The kinds of sockets.
const (
	Chat     = "chat"
	Location = "location"
)

// The mixes of frames on chat sockets.
const (
	Plain = "plain"
	Full  = "full"
)

// Limits that keep a mistyped option harmless.
const (
	MaxSockets           = 200_000
	MaxFor               = 24 * time.Hour
	maxMessagesPerSender = 9_000_000 // a position carries its number as its latitude
)

// Options describes a load and its target.
type Options struct {
	// URLs are the servers, as in wss://host. Consecutive sockets of a room use
	// consecutive URLs.
	URLs []string
	// Kind is Chat (the default) or Location.
	Kind string
	// Sockets is the number of sockets, and Rooms the number of rooms that they are
	// spread over. In a single room of more than two sockets one socket sends and all
	// receive; otherwise two sockets of each room send.
	Sockets, Rooms int

	// Rate is the number of messages per second of all senders together. Messages are
	// sent on schedule, whether or not earlier ones have arrived.
	Rate float64
	// Max makes each sender send its next message when all sockets of its room have
	// received the last one. Without Rate and Max the sockets are only held open.
	Max bool
	// Touch makes every sender of an idle load send one message first: a server uses
	// more memory for a socket that has sent something.
	Touch bool
	// Warm is how long messages are sent before the measurement, For the length of the
	// measurement, and Drain the longest wait for late deliveries after it.
	Warm, For, Drain time.Duration
	// Size is the length of a chat message in bytes.
	Size int
	// Mix is Plain (the default), for messages only, or Full: for each message that a socket receives
	// from the other side it sends delivered and read, and each sender sends typing as
	// often as the protocol passes it on.
	Mix string
	// Dialers is the number of handshakes in flight, and HandshakeTimeout the limit for
	// each of them.
	Dialers          int
	HandshakeTimeout time.Duration

	// Keys sign the tokens of the users from First to Last, which are customers and
	// therapists in turn. Seats replaces all three by users with tokens of their own.
	Keys        *auth.Keys
	First, Last room.UserID
	Seats       []Seat

	// Memory and CPU are read from Ops, the URLs of ops listeners, and from PIDs, the
	// ids of processes on this machine.
	Ops  []string
	PIDs []int

	// Progress receives one line per second; nil for none.
	Progress io.Writer
}

// Validate returns an error that describes the first invalid option.
func (o *Options) Validate() error {
	for _, c := range []struct {
		ok   bool
		want string
	}{
		{len(o.URLs) > 0, "at least one URL is required"},
		{o.Kind == Chat || o.Kind == Location, "the kind must be chat or location"},
		{o.Mix == "" || o.Mix == Plain || o.Mix == Full && o.Kind == Chat, "the mix must be plain, or full for the kind chat"},
		{o.Sockets >= 1 && o.Sockets <= MaxSockets, fmt.Sprintf("the number of sockets must be between 1 and %d", MaxSockets)},
		{o.Rooms >= 1 && o.Rooms <= o.Sockets, "the number of rooms must be between 1 and the number of sockets"},
		{o.Rate >= 0 && o.Rate <= 1e6, "the rate must be between 0 and 1,000,000 messages per second"},
		{o.Rate == 0 || !o.Max, "a rate and the maximum speed cannot be combined"},
		{o.For > 0 && o.For <= MaxFor, fmt.Sprintf("the measurement must be longer than 0 and at most %s", MaxFor)},
		{o.Warm >= 0 && o.Drain >= 0, "the times to warm up and to drain must not be negative"},
		{o.HandshakeTimeout > 0, "the handshake timeout must be above 0"},
		{o.Size >= 1 && o.Size <= 4000, "the message size must be between 1 and 4000 bytes"},
		{o.Dialers >= 1 && o.Dialers <= 4096, "the number of concurrent handshakes must be between 1 and 4096"},
		{o.Keys != nil || len(o.Seats) > 0, "tokens are required: give a secret to sign them with, or a file of tokens"},
	} {
		if !c.ok {
			return errors.New(c.want)
		}
	}
	return nil
}

// A run is the state of one call of Run.
type run struct {
	o       Options
	id      string // part of every message, to tell it from those of other runs
	began   time.Time
	groups  []*group
	sockets []*socket
	senders []*sender
	servers []*server
	dialer  *dialer
	totals  totals
	window  window

	readers  sync.WaitGroup // of the sockets
	sampling sync.WaitGroup // of the servers
}

// Run generates the load and returns its report. When ctx ends, the run stops early
// and the report says so. An error means that there is nothing to report.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	r := &run{o: o, id: newRunID(), began: time.Now(), servers: newServers(o.Ops, o.PIDs)}
	if err := r.assignSockets(); err != nil {
		return nil, err
	}
	r.dialer = newDialer(&r.o)
	defer r.closeAll()
	stop := r.startProgress(ctx)
	defer stop()
	if len(r.servers) > 0 {
		r.prewarm(ctx)
	}
	r.sampleServers(ctx, atStart)
	r.dialAll(ctx)
	if r.totals.opened.Load() == 0 {
		return nil, fmt.Errorf("no socket could be opened: %s", r.totals.commonFailure())
	}
	switch {
	case ctx.Err() != nil:
	case o.Rate > 0:
		r.sendAtRate(ctx)
	case o.Max:
		r.sendAtMax(ctx)
	default:
		r.holdIdle(ctx)
	}
	r.drain(ctx)
	return r.report(ctx), nil
}
