// Package room defines the words that all packages share: rooms, users, messages, positions,
// refresh tokens, heartbeats, the errors of the stores, and the rules about them. It does no
// I/O and does not depend on frames or on a particular store.
package room

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// The errors that every store and the channel layer return.
var (
	// ErrNotFound means that the requested object does not exist.
	ErrNotFound = errors.New("not found")
	// ErrUnavailable means that the store or the channel layer is unavailable. The error
	// that wraps it has the cause.
	ErrUnavailable = errors.New("unavailable")
	// ErrChannelLayer means that the channel layer is what is unavailable, where both could be.
	// The same error also wraps ErrUnavailable.
	ErrChannelLayer = errors.New("channel layer")
	// ErrTooMany means that a user has done something too often.
	ErrTooMany = errors.New("too many")
	// ErrErased means that a user is erased, so nothing of theirs can be stored.
	ErrErased = errors.New("the user is erased")
	// ErrOutcomeUnknown means that a write may or may not have been committed. The same
	// error also wraps ErrUnavailable.
	ErrOutcomeUnknown = errors.New("outcome unknown")
)

// MaxID is the largest user id: 2^53-1, the largest integer that every JSON
// implementation keeps exact (RFC 8259 §6).
const MaxID = 1<<53 - 1

// A UserID identifies a user. It is between 1 and [MaxID].
type UserID int64

// ParseUserID parses the id of a user in a path: decimal digits without sign or leading zero,
// at most [MaxID].
func ParseUserID(s string) (UserID, bool) {
	if s == "" || len(s) > 16 || s[0] == '0' {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return UserID(n), err == nil && n <= MaxID
}

// A Room is one customer and one therapist. Chat and location are endpoints of the same room.
type Room struct{ Customer, Therapist UserID }

// Group returns the channel-layer group of an endpoint of the room, for example chat_1_2.
func (r Room) Group(endpoint string) string {
	b := make([]byte, 0, 48)
	b = append(append(b, endpoint...), '_')
	b = append(strconv.AppendInt(b, int64(r.Customer), 10), '_')
	return string(strconv.AppendInt(b, int64(r.Therapist), 10))
}

// InboxGroup returns the channel-layer group of the inbox sockets of a user.
func InboxGroup(user UserID) string { return "inbox_" + strconv.FormatInt(int64(user), 10) }

// An ID is the UUID (RFC 9562) of a conversation or a message.
type ID [16]byte

// String returns the canonical 36-character form.
func (id ID) String() string { return string(id.Append(make([]byte, 0, 36))) }

// Append appends the canonical form to dst and returns the result.
func (id ID) Append(dst []byte) []byte {
	dst = hex.AppendEncode(dst, id[:4])
	for _, part := range [][2]int{{4, 6}, {6, 8}, {8, 10}, {10, 16}} {
		dst = hex.AppendEncode(append(dst, '-'), id[part[0]:part[1]])
	}
	return dst
}

// ParseID parses the canonical form of a UUID in upper or lower case.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return id, fmt.Errorf("%q is not a uuid", s)
	}
	if _, err := hex.Decode(id[:], []byte(s[:8]+s[9:13]+s[14:18]+s[19:23]+s[24:])); err != nil {
		return ID{}, fmt.Errorf("%q is not a uuid", s)
	}
	return id, nil
}

// A Conversation is the stored chat of a room. FirstSeq is the seq of its oldest message, or 1
// if it has none; LastSeq is that of its newest one, or 0. Number is unique among all
// conversations; it is 0 while a migration has not numbered the conversation yet.
type Conversation struct {
	ID                ID
	Number            int64
	FirstSeq, LastSeq int64
	Created           bool // true if it was created by this call
	Customer          Cursor
	Therapist         Cursor
	// Unread is the number of messages that the user who asked has not read, at most
	// [MaxUnread]. Own and erased messages do not count.
	Unread int
}

// MaxUnread is the number at which counts of unread messages end.
const MaxUnread = 1000

// A Cursor is how far a user has received and read a conversation: all messages up to
// Delivered and Read. Read is never above Delivered, and neither ever decreases.
type Cursor struct{ Delivered, Read int64 }

// Advanced returns the cursor that has reached c and other.
func (c Cursor) Advanced(other Cursor) Cursor {
	read := max(c.Read, other.Read)
	return Cursor{Delivered: max(c.Delivered, other.Delivered, read), Read: read}
}

// A Summary is a conversation in a list of conversations.
type Summary struct {
	ID        ID
	Room      Room
	CreatedAt time.Time
	Last      *Message // the newest message; nil if there is none
	Cursor    Cursor   // of the user who asked
	Unread    int      // as in Conversation
}

// Place returns the position of the conversation in a list.
func (s Summary) Place() Place {
	if s.Last != nil {
		return Place{s.Last.At, s.ID}
	}
	return Place{s.CreatedAt, s.ID}
}

// A Place is a position in a list of conversations, which is ordered by the time of the newest
// message, newest first, and then by id.
type Place struct {
	At time.Time
	ID ID
}

// A Change is what the store has of a conversation that has changed.
type Change struct {
	ID                          ID
	Room                        Room
	LastSeq                     int64
	CustomerRead, TherapistRead int64 // read cursors
}

// Read returns the read cursor of one side.
func (c *Change) Read(user UserID) int64 {
	if user == c.Room.Customer {
		return c.CustomerRead
	}
	return c.TherapistRead
}

// Other returns the other side of the room.
func (r Room) Other(user UserID) UserID {
	if user == r.Customer {
		return r.Therapist
	}
	return r.Customer
}

// A Receipt is the cursor of a user in a conversation.
type Receipt struct {
	Conversation ID
	User         UserID
	Cursor       Cursor
}

// An Advance is what became of a receipt that was to be stored.
type Advance struct {
	Cursor  Cursor // as it is stored now
	LastSeq int64  // of the conversation; a receipt beyond it is not stored
	Grown   bool   // the stored cursor is higher than before
}
