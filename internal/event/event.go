// Package event defines what replicas tell each other and keep for each other in Redis.
// Everything is an event: a header and a body, sealed under a key that only processes with
// access to Postgres have. Whoever can write to Redis can neither forge an event nor use a
// copy of one under another name, in another deployment or on another timeline.
//
// The package does no I/O. A new kind is one struct, one line in the table of kinds, one body in
// event_test.go, and one recorded vector.
package event

import (
	"cmp"
	"errors"
	"time"
)

// A Kind says what an event is about, and how its body is encoded.
type Kind uint8

// The kinds of events. The numbers are on the wire: never reuse one.
const (
	KindUnnumbered Kind = 1
	KindProbe      Kind = 2
	KindPosition   Kind = 3
	KindHeartbeat  Kind = 4
	KindLoad       Kind = 5
	KindRevocation Kind = 6
	KindEcho       Kind = 7
	KindTicket     Kind = 8
	KindStory      Kind = 9
	KindFailure    Kind = 10
	KindReceipt    Kind = 11
	KindTyping     Kind = 12
	KindPresence   Kind = 13
	KindOnline     Kind = 14
	KindBlock      Kind = 15
	KindInbox      Kind = 16
	KindMessage    Kind = 17

	KindClassicPosition Kind = 18

	KindInquiry Kind = 19
	KindFinding Kind = 20
)

// maxAge is the age at which events expire that mean something only when they are new.
const maxAge = 30 * time.Second

// kinds is the table of kinds. The version is that of the body: a change of the body needs a
// new one. Neither the header nor the sealing may ever change: a replica must be able to
// verify an event of a newer version in order to know that it has missed something.
var kinds = [256]struct {
	name    string
	version byte
	maxAge  time.Duration           // of a published event; 0 means that it does not expire
	check   func(body []byte) error // reports whether the body can be read
}{
	KindUnnumbered: {"message", 1, 0, check(ReadUnnumbered)},
	KindProbe:      {"probe", 1, maxAge, check(ReadProbe)},
	KindPosition:   {"position", 1, maxAge, check(ReadPosition)},
	KindHeartbeat:  {"heartbeat", 1, maxAge, check(Read[Heartbeat])},
	KindLoad:       {"load", 1, maxAge, check(Read[Load])},
	KindRevocation: {"revocation", 1, 0, check(Read[Revocation])},
	KindEcho:       {"echo", 1, maxAge, check(ReadEcho)},
	KindTicket:     {"ticket", 1, 0, check(Read[Ticket])},
	KindStory:      {"story", 1, 0, check(ReadStory)},
	KindFailure:    {"failure", 1, 0, check(ReadFailure)},
	KindReceipt:    {"receipt", 1, 0, check(ReadReceipt)},
	KindTyping:     {"typing", 1, maxAge, check(ReadTyping)},
	KindPresence:   {"presence", 1, maxAge, check(Read[Presence])},
	KindOnline:     {"online", 1, 0, check(ReadOnline)},
	KindBlock:      {"block", 1, 0, check(Read[Block])},
	KindInbox:      {"inbox", 1, 0, check(ReadInbox)},
	KindMessage:    {"numbered_message", 1, 0, check(ReadMessage)},

	KindClassicPosition: {"classic_position", 1, maxAge, check(ReadClassicPosition)},

	KindInquiry: {"inquiry", 1, maxAge, check(Read[Inquiry])},
	KindFinding: {"finding", 1, maxAge, check(ReadFinding)},
}

func check[T any](read func([]byte) (T, error)) func([]byte) error {
	return func(body []byte) error {
		_, err := read(body)
		return err
	}
}

// String returns the name of the kind for logs and metrics.
func (k Kind) String() string {
	return cmp.Or(kinds[k].name, "unknown")
}

// An Event is an event that was opened: it is authentic, and meant for the name, the
// deployment and the timeline under which it was found.
type Event struct {
	Kind    Kind
	Sender  ProcessID
	Counter uint64    // of the sender; it rises with each event that the sender seals
	At      time.Time // when it was sealed, by the sender's clock
	Body    []byte    // of Kind; read-only
}

// Expires reports whether events of the kind mean something only when they are new.
func (k Kind) Expires() bool { return kinds[k].maxAge > 0 }

// Stale reports whether the event has expired at the time now, or is as far ahead of it.
func (e *Event) Stale(now time.Time) bool {
	limit := kinds[e.Kind].maxAge
	return limit > 0 && now.Sub(e.At).Abs() > limit
}

// The errors of [Ring.Open].
var (
	// ErrForeign means that the event is not authentic: it was forged or damaged, copied
	// from another name, or sealed in another deployment, on another timeline or with
	// another key. Drop it, and do nothing else because of it.
	ErrForeign = errors.New("the event cannot be opened")
	// ErrUnknown means that the event is authentic, but of a version or kind that this
	// binary does not know. What it was about was missed.
	ErrUnknown = errors.New("the event is of an unknown version or kind")
	// ErrBody means that the body of an authentic event cannot be read. What it was about
	// was missed.
	ErrBody = errors.New("the body of the event cannot be read")
)
