package event

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

// A Body is the content of an event: one of the structs of this package.
type Body interface {
	// Kind returns the kind of events with such a body.
	Kind() Kind
	// AppendTo appends the encoded body to dst and returns the result.
	AppendTo(dst []byte) []byte
}

// A Message is a stored chat message as the finished frame for its readers. Number and At are
// for readers of another form.
type Message struct {
	Seq    int64
	Sender room.UserID
	Number int64 // 0 if it is not known
	At     int64 // Unix microseconds
	Frame  []byte
}

// Kind implements [Body].
func (Message) Kind() Kind { return KindMessage }

// AppendTo implements [Body].
func (m Message) AppendTo(dst []byte) []byte {
	return append(appendInts(dst, m.Seq, int64(m.Sender), m.Number, m.At), m.Frame...)
}

// ReadMessage reads the body of a KindMessage. Frame shares its memory.
func ReadMessage(body []byte) (Message, error) {
	if len(body) <= 32 {
		return Message{}, ErrBody
	}
	m := Message{Seq: readInt(body), Sender: room.UserID(readInt(body[8:])), Number: readInt(body[16:]), At: readInt(body[24:]), Frame: body[32:]}
	if m.Seq < 1 || m.Number < 0 {
		return Message{}, ErrBody
	}
	return m, nil
}

// An Unnumbered is a message of an earlier build. Nobody sends it any more. A replica
// that receives one reads the message from the store.
type Unnumbered struct {
	Seq    int64
	Sender room.UserID
	Frame  []byte
}

// Kind implements [Body].
func (Unnumbered) Kind() Kind { return KindUnnumbered }

// AppendTo implements [Body].
func (m Unnumbered) AppendTo(dst []byte) []byte {
	return append(appendInts(dst, m.Seq, int64(m.Sender)), m.Frame...)
}

// ReadUnnumbered reads the body of a KindUnnumbered. Frame shares its memory.
func ReadUnnumbered(body []byte) (Unnumbered, error) {
	if len(body) <= 16 {
		return Unnumbered{}, ErrBody
	}
	m := Unnumbered{Seq: readInt(body), Sender: room.UserID(readInt(body[8:])), Frame: body[16:]}
	if m.Seq < 1 {
		return Unnumbered{}, ErrBody
	}
	return m, nil
}

// A Probe is a frame that is sent back to the sockets of its sender and not stored.
type Probe struct {
	User  room.UserID
	Frame []byte
}

// Kind implements [Body].
func (Probe) Kind() Kind { return KindProbe }

// AppendTo implements [Body].
func (p Probe) AppendTo(dst []byte) []byte {
	return append(binary.BigEndian.AppendUint64(dst, uint64(p.User)), p.Frame...)
}

// ReadProbe reads the body of a KindProbe. Frame shares its memory.
func ReadProbe(body []byte) (Probe, error) {
	if len(body) <= 8 {
		return Probe{}, ErrBody
	}
	return Probe{User: room.UserID(binary.BigEndian.Uint64(body)), Frame: body[8:]}, nil //nolint:gosec // as written
}

// A Position is the position of a user as the finished frame for its readers.
type Position struct {
	User     room.UserID
	Recorded int64 // Unix milliseconds; 0 if the user's device gave none. Earlier builds compare it.
	Frame    []byte
}

// Kind implements [Body].
func (Position) Kind() Kind { return KindPosition }

// AppendTo implements [Body].
func (p Position) AppendTo(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.User))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.Recorded))
	return append(dst, p.Frame...)
}

// ReadPosition reads the body of a KindPosition. Frame shares its memory.
func ReadPosition(body []byte) (Position, error) {
	if len(body) <= 16 {
		return Position{}, ErrBody
	}
	return Position{User: room.UserID(binary.BigEndian.Uint64(body)), Recorded: int64(binary.BigEndian.Uint64(body[8:])), Frame: body[16:]}, nil //nolint:gosec // as written
}

// A ClassicPosition is the position of a therapist as the finished frame for apps of the
// predecessor.
type ClassicPosition struct{ Frame []byte }

// Kind implements [Body].
func (ClassicPosition) Kind() Kind { return KindClassicPosition }

// AppendTo implements [Body].
func (p ClassicPosition) AppendTo(dst []byte) []byte { return append(dst, p.Frame...) }

// ReadClassicPosition reads the body of a KindClassicPosition. Frame shares its memory.
func ReadClassicPosition(body []byte) (ClassicPosition, error) {
	if len(body) == 0 {
		return ClassicPosition{}, ErrBody
	}
	return ClassicPosition{Frame: body}, nil
}

// A Heartbeat shows that its sender is alive. The fields are empty if an earlier release sent it.
type Heartbeat struct {
	Replica  string `json:"replica,omitempty"`  // its name
	Database string `json:"database,omitempty"` // host:port/name of its Postgres, without secrets
	Stored   bool   `json:"stored,omitempty"`   // it stores its heartbeats there now
}

// Kind implements [Body].
func (Heartbeat) Kind() Kind { return KindHeartbeat }

// AppendTo implements [Body].
func (h Heartbeat) AppendTo(dst []byte) []byte { return appendJSON(dst, h) }

// A Load is how many sockets a replica holds.
type Load struct {
	Sockets  int  `json:"sockets"`
	Ready    bool `json:"ready"`
	Draining bool `json:"draining,omitempty"`
}

// Kind implements [Body].
func (Load) Kind() Kind { return KindLoad }

// AppendTo implements [Body].
func (l Load) AppendTo(dst []byte) []byte { return appendJSON(dst, l) }

// A Revocation names users whose tokens may no longer be valid. It carries no authority:
// only Postgres decides. Without users, everybody is to be checked.
type Revocation struct {
	Users []room.UserID `json:"users,omitempty"`
}

// Kind implements [Body].
func (Revocation) Kind() Kind { return KindRevocation }

// AppendTo implements [Body].
func (r Revocation) AppendTo(dst []byte) []byte { return appendJSON(dst, r) }

// An Echo is what a replica sends to itself, to verify that it receives what it publishes.
type Echo struct {
	Seq  uint64
	Sent time.Duration // on the sender's monotonic clock
}

// Kind implements [Body].
func (Echo) Kind() Kind { return KindEcho }

// AppendTo implements [Body].
func (e Echo) AppendTo(dst []byte) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, e.Seq), uint64(e.Sent))
}

// ReadEcho reads the body of a KindEcho.
func ReadEcho(body []byte) (Echo, error) {
	if len(body) != 16 {
		return Echo{}, ErrBody
	}
	return Echo{binary.BigEndian.Uint64(body), time.Duration(binary.BigEndian.Uint64(body[8:]))}, nil //nolint:gosec // as written
}

// A Ticket replaces a token once.
type Ticket struct {
	User    room.UserID `json:"user"`
	Issued  time.Time   `json:"issued,omitzero"` // of the token; zero if unknown
	Expires time.Time   `json:"expires"`         // of the token
	Ends    time.Time   `json:"ends"`            // of the ticket itself
}

// Kind implements [Body].
func (Ticket) Kind() Kind { return KindTicket }

// AppendTo implements [Body].
func (t Ticket) AppendTo(dst []byte) []byte { return appendJSON(dst, t) }

// A Story is the encoded story of a failed connection, see package story.
type Story []byte

// Kind implements [Body].
func (Story) Kind() Kind { return KindStory }

// AppendTo implements [Body].
func (s Story) AppendTo(dst []byte) []byte { return append(dst, s...) }

// ReadStory reads the body of a KindStory.
func ReadStory(body []byte) (Story, error) { return nonEmpty[Story](body) }

// A Failure is the encoded summary of a failed connection, see package story.
type Failure []byte

// Kind implements [Body].
func (Failure) Kind() Kind { return KindFailure }

// AppendTo implements [Body].
func (f Failure) AppendTo(dst []byte) []byte { return append(dst, f...) }

// ReadFailure reads the body of a KindFailure.
func ReadFailure(body []byte) (Failure, error) { return nonEmpty[Failure](body) }

func nonEmpty[T ~[]byte](body []byte) (T, error) {
	if len(body) == 0 {
		return nil, ErrBody
	}
	return T(body), nil
}

// Read reads a body that is encoded as JSON.
func Read[T any](body []byte) (b T, err error) {
	if err := json.Unmarshal(body, &b); err != nil {
		return b, fmt.Errorf("%w: %w", ErrBody, err)
	}
	return b, nil
}

func appendJSON(dst []byte, b Body) []byte {
	text, err := json.Marshal(b)
	if err != nil {
		panic("encode an event: " + err.Error()) // every field of every body can be encoded
	}
	return append(dst, text...)
}
