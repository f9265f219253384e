// Package bench is `roomspa bench`: it opens many sockets against running
// replicas, sends through them, and says what was delivered, how fast, and at
// what cost. It owns the load and its judgement, and refuses to start servers.
//
// Every message is known by its sender and a number, so that each socket's view
// of each sender can be checked: nothing lost, repeated, out of order or in the
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

// The kinds of sockets there are.
const (
	Chat     = "chat"
	Location = "location"
)

// Bounds, so that a slip of a finger stays harmless.
const (
	MaxSockets = 200_000
	MaxFor     = 24 * time.Hour
	maxEach    = 9_000_000 // messages of one sender; positions carry their number as a latitude
)

// Options says what load is made, against what.
type Options struct {
	// URLs are the servers, as in wss://host. The sockets of a room take turns
	// among them.
	URLs []string
	// Kind is Chat (the default) or Location.
	Kind string
	// Sockets is how many are opened, over so many Rooms: by default two a room.
	// With one room of more than two sockets, one of them sends and all hear it.
	Sockets, Rooms int

	// Rate is the messages a second of all senders together, sent whether or not
	// the earlier ones have arrived. 0 with Max: each sender sends as soon as its
	// last message was delivered to all. 0 without Max: the sockets are only held.
	Rate float64
	Max  bool
	// Touch lets every socket send one message first, where they are only held: a
	// server's memory is not the same before and after that.
	Touch bool
	// Warm is sent and not measured, then For is measured, then late deliveries are
	// waited for, at most for Drain.
	Warm, For, Drain time.Duration
	// Size is the length of a chat message in bytes.
	Size int
	// Dialers is how many handshakes are in flight at once, and HandshakeTimeout how
	// long each may take.
	Dialers          int
	HandshakeTimeout time.Duration

	// Keys mint the tokens of the users from First to Last, which are customers and
	// therapists in turn. Seats, with tokens of their own, take the place of both.
	Keys        *auth.Keys
	First, Last room.UserID
	Seats       []Seat

	// Ops are ops listeners of replicas, PIDs their processes on this machine: where
	// their memory and CPU are read.
	Ops  []string
	PIDs []int

	// Progress is told every second how far it is; nil for nobody.
	Progress io.Writer
}

// Validate names the first option that cannot work.
func (o *Options) Validate() error {
	for _, c := range []struct {
		ok   bool
		want string
	}{
		{len(o.URLs) > 0, "at least one URL is needed"},
		{o.Kind == Chat || o.Kind == Location, "the kind is chat or location"},
		{o.Sockets >= 1 && o.Sockets <= MaxSockets, fmt.Sprintf("between 1 and %d sockets can be opened", MaxSockets)},
		{o.Rooms >= 1 && o.Rooms <= o.Sockets, "there must be a socket for every room"},
		{o.Rate >= 0 && o.Rate <= 1e6, "the rate is between 0 and 1,000,000 messages a second"},
		{o.Rate == 0 || !o.Max, "a rate and as fast as it goes exclude each other"},
		{o.For > 0 && o.For <= MaxFor, fmt.Sprintf("it can run for at most %s", MaxFor)},
		{o.Warm >= 0 && o.Drain >= 0 && o.HandshakeTimeout > 0, "times must not be negative"},
		{o.Size >= 1 && o.Size <= 4000, "a message has between 1 and 4000 bytes"},
		{o.Dialers >= 1 && o.Dialers <= 4096, "between 1 and 4096 handshakes can be in flight"},
		{o.Keys != nil || len(o.Seats) > 0, "tokens are needed: a secret to mint them with, or a file of them"},
	} {
		if !c.ok {
			return errors.New(c.want)
		}
	}
	return nil
}

// A run is one call of Run under way.
type run struct {
	o       Options
	id      string // in every message, to tell it from another run's
	began   time.Time
	groups  []*group
	sockets []*socket
	senders []*sender
	watch   *watchers
	dialer  *dialer
	readers sync.WaitGroup
	tally   tally
	window  window
}

// Run makes the load and reports on it. When ctx ends it stops early and reports
// what is known. The error says why there is nothing to report.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	r := &run{o: o, id: newID(), began: time.Now(), watch: newWatchers(o.Ops, o.PIDs)}
	if err := r.layOut(); err != nil {
		return nil, err
	}
	r.dialer = newDialer(&r.o)
	defer r.hangUp()
	stop := r.progress(ctx)
	defer stop()
	if len(r.watch.all) > 0 {
		r.prewarm(ctx)
	}
	r.watch.snap(ctx, before)
	r.dialAll(ctx)
	if r.tally.opened.Load() == 0 {
		return nil, fmt.Errorf("no socket could be opened: %s", r.tally.why())
	}
	switch {
	case ctx.Err() != nil:
	case o.Rate > 0:
		r.openLoop(ctx)
	case o.Max:
		r.closedLoop(ctx)
	default:
		r.hold(ctx)
	}
	r.drain(ctx)
	r.tally.phase.Store(phaseDone)
	return r.report(ctx), nil
}
