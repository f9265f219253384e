package judge

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// The files of a run's directory. Every one but the run's holds one JSON object a
// line.
const (
	RunFile           = "run.json"
	FaultsFile        = "faults.jsonl"
	ConversationsFile = "conversations.jsonl"
	MessagesFile      = "messages.jsonl"
	ClientsDir        = "clients" // *.jsonl, one for each client
)

// A Run is what holds for all histories of a directory.
type Run struct {
	Seed uint64 `json:"seed"`
	// Within is how long after the last fault everybody has to have seen
	// everything that was acknowledged; 0 means [DefaultWithin].
	Within  time.Duration `json:"within_ns"`
	Started int64         `json:"started"` // Unix microseconds, as all times here
	Ended   int64         `json:"ended"`
}

// A Fault is something that was broken for a while.
type Fault struct {
	Kind   string `json:"kind"`
	Target string `json:"target,omitempty"`
	Began  int64  `json:"began"`
	Ended  int64  `json:"ended"`
}

// A Conversation is one of the store's.
type Conversation struct {
	ID        string `json:"id"`
	Customer  int64  `json:"customer_id"`
	Therapist int64  `json:"therapist_id"`
}

// A Message is one of the store's.
type Message struct {
	Conversation    string `json:"conversation_id"`
	Seq             int64  `json:"seq"`
	ID              string `json:"id"`
	Sender          int64  `json:"sender_id"`
	ClientMessageID string `json:"client_message_id,omitempty"`
	Text            string `json:"text"` // its Hash
}

// A Kind says what an entry of a history is about.
type Kind string

// What a client writes down. It judges nothing: what came is received, whether it
// should have come or not.
const (
	Begins       Kind = "client"       // the first line: who this is, and of which room
	Connected    Kind = "connected"    // a socket is ready: since what it asked for, seq the conversation's last
	Resumed      Kind = "resumed"      // the replay is over; it said from and to seq
	Sent         Kind = "sent"         // a message was written to a socket, for the first time or again
	Acknowledged Kind = "acknowledged" // the server says that a message is stored
	Received     Kind = "received"     // a message came
	Refused      Kind = "refused"      // a message will never be stored: the client was told so
	Deferred     Kind = "deferred"     // a message was refused for now, and is sent again
	Closed       Kind = "closed"       // a socket ended
	GaveUp       Kind = "gave_up"      // the client was told never to come back
	Left         Kind = "left"         // the client went by its own will, and sees nothing more
	Stayed       Kind = "stayed"       // the client was there when the run ended
)

// An Entry is one line of a client's history.
type Entry struct {
	At   int64  `json:"at"`
	Kind Kind   `json:"kind"`
	Ref  string `json:"ref,omitempty"` // the socket's

	// Of the first line.
	Client    string `json:"client,omitempty"`
	User      int64  `json:"user,omitempty"`
	Customer  int64  `json:"customer_id,omitempty"`
	Therapist int64  `json:"therapist_id,omitempty"`

	Since           *int64 `json:"since,omitempty"`
	From            int64  `json:"from,omitempty"`
	Seq             int64  `json:"seq,omitempty"`
	Reset           bool   `json:"reset,omitempty"`
	ID              string `json:"id,omitempty"`
	Sender          int64  `json:"sender_id,omitempty"`
	ClientMessageID string `json:"client_message_id,omitempty"`
	Text            string `json:"text,omitempty"` // its Hash
	Duplicate       bool   `json:"duplicate,omitempty"`
	Code            int    `json:"code,omitempty"`
	Detail          string `json:"detail,omitempty"`
}

// Hash stands for a text in histories: enough to tell any two apart, and short.
func Hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}
