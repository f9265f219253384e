package event

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

// This file has the events about the state of conversations and users.

// A Receipt is how far a user has received and read a conversation. The store has it.
type Receipt struct {
	Conversation room.ID
	User         room.UserID
	Cursor       room.Cursor
}

// Kind implements [Body].
func (Receipt) Kind() Kind { return KindReceipt }

// AppendTo implements [Body].
func (r Receipt) AppendTo(dst []byte) []byte {
	dst = append(dst, r.Conversation[:]...)
	return appendInts(dst, int64(r.User), r.Cursor.Delivered, r.Cursor.Read)
}

// ReadReceipt reads the body of a KindReceipt.
func ReadReceipt(body []byte) (r Receipt, err error) {
	if len(body) != 40 {
		return r, ErrBody
	}
	rest := body[copy(r.Conversation[:], body):]
	r.User, r.Cursor = room.UserID(readInt(rest)), room.Cursor{Delivered: readInt(rest[8:]), Read: readInt(rest[16:])}
	if r.Cursor.Read < 0 || r.Cursor.Read > r.Cursor.Delivered {
		return Receipt{}, ErrBody
	}
	return r, nil
}

// A Typing says that a user writes a message, or has stopped.
type Typing struct {
	User   room.UserID
	Active bool
}

// Kind implements [Body].
func (Typing) Kind() Kind { return KindTyping }

// AppendTo implements [Body].
func (t Typing) AppendTo(dst []byte) []byte {
	active := byte(0)
	if t.Active {
		active = 1
	}
	return append(appendInts(dst, int64(t.User)), active)
}

// ReadTyping reads the body of a KindTyping.
func ReadTyping(body []byte) (Typing, error) {
	if len(body) != 9 {
		return Typing{}, ErrBody
	}
	return Typing{room.UserID(readInt(body)), body[8] == 1}, nil
}

// A Presence says which users came online or went offline. It is sent to all replicas.
type Presence struct {
	Users []UserPresence `json:"users"`
}

// A UserPresence is the presence of one user.
type UserPresence struct {
	User     room.UserID `json:"user"`
	Online   bool        `json:"online,omitempty"`
	Inbox    bool        `json:"inbox,omitempty"` // an inbox socket is open
	LastSeen time.Time   `json:"last_seen,omitzero"`
}

// Kind implements [Body].
func (Presence) Kind() Kind { return KindPresence }

// AppendTo implements [Body].
func (p Presence) AppendTo(dst []byte) []byte { return appendJSON(dst, p) }

// An Online is what Redis keeps of a user: the replicas that hold sockets of the user, and
// when the user was last online.
type Online struct {
	Replicas []ReplicaPresence `json:"replicas,omitempty"`
	LastSeen time.Time         `json:"last_seen,omitzero"`
}

// A ReplicaPresence says until when a user counts as online because of one replica.
type ReplicaPresence struct {
	Replica ProcessID `json:"replica"`
	Until   time.Time `json:"until"`
	Inbox   bool      `json:"inbox,omitempty"` // an inbox socket is open there
}

// Kind implements [Body].
func (Online) Kind() Kind { return KindOnline }

// AppendTo implements [Body].
func (o Online) AppendTo(dst []byte) []byte { return appendJSON(dst, o) }

// ReadOnline reads the body of a KindOnline. A replica reads hundreds of them a second, so the form that AppendTo writes is
// read without encoding/json, which takes several times as long.
func ReadOnline(body []byte) (Online, error) {
	if o, ok := scanOnline(body); ok {
		return o, nil
	}
	return Read[Online](body)
}

func scanOnline(body []byte) (o Online, ok bool) {
	s := scanner{body}
	ok = s.skip(`{`)
	comma := ""
	if s.skip(`"replicas":[`) {
		o.Replicas = make([]ReplicaPresence, 0, 2)
		for more := true; ok && more; more = s.skip(`,`) {
			var r ReplicaPresence
			ok = s.skip(`{"replica":"`) && r.Replica.UnmarshalText(s.value()) == nil &&
				s.skip(`,"until":"`) && r.Until.UnmarshalText(s.value()) == nil
			r.Inbox = s.skip(`,"inbox":true`)
			ok = s.skip(`}`) && ok
			o.Replicas = append(o.Replicas, r)
		}
		ok = s.skip(`]`) && ok
		comma = ","
	}
	if s.skip(comma + `"last_seen":"`) {
		ok = o.LastSeen.UnmarshalText(s.value()) == nil && ok
	}
	return o, s.skip(`}`) && len(s.rest) == 0 && ok
}

// A scanner reads JSON of a known form.
type scanner struct{ rest []byte }

// skip reports whether text comes next, and moves past it.
func (s *scanner) skip(text string) bool {
	if len(s.rest) < len(text) || string(s.rest[:len(text)]) != text {
		return false
	}
	s.rest = s.rest[len(text):]
	return true
}

// value returns a string whose first quote was skipped, with its escapes, or the rest if it does not end.
func (s *scanner) value() []byte {
	text, rest, _ := bytes.Cut(s.rest, []byte(`"`))
	s.rest = rest
	return text
}

// A Block says that one user has blocked another, or has lifted the block. It carries no
// authority: replicas read the store.
type Block struct {
	Blocker room.UserID `json:"blocker"`
	Blocked room.UserID `json:"blocked"`
}

// Kind implements [Body].
func (Block) Kind() Kind { return KindBlock }

// AppendTo implements [Body].
func (b Block) AppendTo(dst []byte) []byte { return appendJSON(dst, b) }

// An Inbox is a stored message for the inbox sockets of one side of its room.
type Inbox struct {
	Conversation room.ID
	Room         room.Room
	Seq          int64
	Sender       room.UserID
	At           time.Time
	Text         string
}

// Kind implements [Body].
func (Inbox) Kind() Kind { return KindInbox }

// AppendTo implements [Body].
func (i Inbox) AppendTo(dst []byte) []byte {
	dst = append(dst, i.Conversation[:]...)
	dst = appendInts(dst, int64(i.Room.Customer), int64(i.Room.Therapist), i.Seq, int64(i.Sender), i.At.UnixMilli())
	return append(dst, i.Text...)
}

// ReadInbox reads the body of a KindInbox.
func ReadInbox(body []byte) (i Inbox, err error) {
	if len(body) < 56 {
		return i, ErrBody
	}
	rest := body[copy(i.Conversation[:], body):]
	i.Room = room.Room{Customer: room.UserID(readInt(rest)), Therapist: room.UserID(readInt(rest[8:]))}
	i.Seq, i.Sender, i.At = readInt(rest[16:]), room.UserID(readInt(rest[24:])), time.UnixMilli(readInt(rest[32:])).UTC()
	if i.Text = string(rest[40:]); i.Seq < 1 {
		return Inbox{}, ErrBody
	}
	return i, nil
}

func appendInts(dst []byte, ints ...int64) []byte {
	for _, n := range ints {
		dst = binary.BigEndian.AppendUint64(dst, uint64(n)) //nolint:gosec // read back as written
	}
	return dst
}

func readInt(b []byte) int64 { return int64(binary.BigEndian.Uint64(b)) } //nolint:gosec // as written
