package judge

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// The files in the directory of a run. All but RunFile hold one JSON object per line.
const (
	RunFile           = "run.json"
	FaultsFile        = "faults.jsonl"
	ConversationsFile = "conversations.jsonl"
	MessagesFile      = "messages.jsonl"
	CursorsFile       = "cursors.jsonl" // may be absent: then the state of conversations is not judged
	PagesFile         = "pages.jsonl"   // may be absent: then the pages of GET /chat/messages/ are not judged
	ClientsDir        = "clients"       // *.jsonl, one per client
)

// A Run describes a run. It is the content of RunFile.
type Run struct {
	Seed uint64 `json:"seed"`
	// Within is how long after the last fault all clients must have received all
	// acknowledged messages. Default: [DefaultWithin].
	Within  time.Duration `json:"within_ns"`
	Started int64         `json:"started"` // Unix microseconds, like all times of this package
	Ended   int64         `json:"ended"`
}

// A Fault is one line of FaultsFile.
type Fault struct {
	Kind   string `json:"kind"`
	Target string `json:"target,omitempty"`
	Began  int64  `json:"began"`
	Ended  int64  `json:"ended"`
	// Rewinds is true if the database lost committed messages: it was restored from a
	// backup or replaced, or a standby that was behind took over. Messages that were
	// acknowledged before Ended may be gone, and clients are reset. From Ended on nothing
	// may be lost.
	Rewinds bool `json:"rewinds,omitempty"`
}

// A Conversation is one line of ConversationsFile.
type Conversation struct {
	ID        string `json:"id"`
	Customer  int64  `json:"customer_id"`
	Therapist int64  `json:"therapist_id"`
}

// A Message is one line of MessagesFile.
type Message struct {
	Conversation    string `json:"conversation_id"`
	Seq             int64  `json:"seq"`
	ID              string `json:"id"`
	Sender          int64  `json:"sender_id"`
	ClientMessageID string `json:"client_message_id,omitempty"`
	Text            string `json:"text"`             // Hash of the text
	Number          int64  `json:"number,omitempty"` // needed only where clients are classic
}

// A Page is one line of PagesFile: a message of GET /chat/messages/. The messages of a room have
// the order of its pages.
type Page struct {
	Customer  int64  `json:"customer_id"`
	Therapist int64  `json:"therapist_id"`
	Number    int64  `json:"number"`
	Sender    int64  `json:"sender_id"`
	Text      string `json:"text"` // Hash of the text
}

// A Cursor is one line of CursorsFile: how far one side of a conversation has received and read
// it, and a fresh count of the messages that it has not read. Each side has a line.
type Cursor struct {
	Conversation string `json:"conversation_id"`
	User         int64  `json:"user_id"`
	Delivered    int64  `json:"delivered_seq"`
	Read         int64  `json:"read_seq"`
	Unread       int    `json:"unread"`
}

// A Kind is the kind of an entry of a history.
type Kind string

// The kinds of entries. A client records every message as received, whether or not it
// should have arrived.
const (
	Begins       Kind = "client"       // the first line: the client and its room
	Connected    Kind = "connected"    // a socket is ready: since is what it asked for, seq the last seq of the conversation
	Resumed      Kind = "resumed"      // the replay is complete: from and seq are its first and last seq; with reset the client begins anew after seq
	Sent         Kind = "sent"         // a message was written to a socket, for the first time or again
	Acknowledged Kind = "acknowledged" // the server acknowledged a message
	Received     Kind = "received"     // a message arrived
	Refused      Kind = "refused"      // a message was refused for good
	Deferred     Kind = "deferred"     // a message was refused for now, and will be sent again
	Closed       Kind = "closed"       // a socket ended
	GaveUp       Kind = "gave_up"      // the client was told not to reconnect
	Left         Kind = "left"         // the client left voluntarily and receives nothing more
	Stayed       Kind = "stayed"       // the client was connected, or reconnecting, when the run ended

	Foreign Kind = "foreign" // a classic client got a frame that is not the predecessor's: its beginning is in detail

	Marked   Kind = "marked"   // the client wrote a receipt to a socket: delivered or read
	Forgot   Kind = "forgot"   // the client has forgotten what it had marked, after a reset
	Told     Kind = "told"     // the client was told how far the user of has got: delivered, read, or both
	Counted  Kind = "counted"  // the client was told the number of unread messages up to seq; with read, of those after it
	Presence Kind = "presence" // the client was told whether the user of is online
	Typing   Kind = "typing"   // the client was told that the user of types, or has stopped
)

// An Entry is one line of a client's history.
type Entry struct {
	At   int64  `json:"at"`
	Kind Kind   `json:"kind"`
	Ref  string `json:"ref,omitempty"` // of the socket

	// The following fields are set on the first line.
	Client    string `json:"client,omitempty"`
	User      int64  `json:"user,omitempty"`
	Customer  int64  `json:"customer_id,omitempty"`
	Therapist int64  `json:"therapist_id,omitempty"`
	Inbox     bool   `json:"inbox,omitempty"`    // the client has an inbox socket, which gets no messages
	State     bool   `json:"state,omitempty"`    // the history has the state of the conversation
	InOrder   bool   `json:"in_order,omitempty"` // the client's messages are stored in the order in which it sent them
	// Classic is set for a client that behaves as an app of the predecessor. Its frames have no
	// seq, and no two of its messages have the same text.
	Classic bool `json:"classic,omitempty"`

	Since           *int64 `json:"since,omitempty"`
	From            int64  `json:"from,omitempty"`
	Seq             int64  `json:"seq,omitempty"`
	Reset           bool   `json:"reset,omitempty"`
	ID              string `json:"id,omitempty"`
	Sender          int64  `json:"sender_id,omitempty"`
	ClientMessageID string `json:"client_message_id,omitempty"`
	Text            string `json:"text,omitempty"`   // Hash of the text
	Number          int64  `json:"number,omitempty"` // message_id of a classic frame
	Duplicate       bool   `json:"duplicate,omitempty"`
	Code            int    `json:"code,omitempty"`
	Detail          string `json:"detail,omitempty"`

	Of        int64  `json:"of,omitempty"` // a user
	Delivered *int64 `json:"delivered,omitempty"`
	Read      *int64 `json:"read,omitempty"`
	Unread    int    `json:"unread,omitempty"`
	Online    bool   `json:"online,omitempty"`
}

// Hash returns a short hash, which represents a text in histories.
func Hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
