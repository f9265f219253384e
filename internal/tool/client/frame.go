package client

import (
	"encoding/json"
	"errors"
	"time"
)

// A Frame is a WebSocket message as it arrived, with the decoded fields of the protocol.
// Type decides which fields are meaningful. Fields that the message does not have are
// zero.
type Frame struct {
	// At is when the message was read from the socket.
	At time.Time `json:"-"`
	// Raw is the undecoded message.
	Raw []byte `json:"-"`
	// Binary is true for a binary message, whose fields are not decoded.
	Binary bool `json:"-"`

	Type string `json:"type"`
	Ref  string `json:"ref"`

	// chat_message, ack; Seq also of delivered and read
	ID              string          `json:"id"`
	ConversationID  string          `json:"conversation_id"`
	Seq             int64           `json:"seq"`
	SenderID        int64           `json:"sender_id"`
	SenderRole      string          `json:"sender_role"`
	Message         string          `json:"message"`
	MessageType     string          `json:"message_type"`
	Metadata        json.RawMessage `json:"metadata"`
	ClientMessageID string          `json:"client_message_id"`
	Timestamp       string          `json:"timestamp"`
	Duplicate       bool            `json:"duplicate"`
	Differs         bool            `json:"differs"`

	// connected, resumed
	FirstSeq int64  `json:"first_seq"`
	LastSeq  *int64 `json:"last_seq"`

	// connected; support gets none of them
	DeliveredSeq int64 `json:"delivered_seq"`
	ReadSeq      int64 `json:"read_seq"`
	Unread       int   `json:"unread"`
	Peer         *Peer `json:"peer"`

	// resumed
	FromSeq int64 `json:"from_seq"`
	ToSeq   int64 `json:"to_seq"`
	Reset   bool  `json:"reset"`

	// history; its messages have no At and no Raw
	Messages []Frame `json:"messages"`
	HasMore  bool    `json:"has_more"`

	// reconnect
	AfterMS int64  `json:"after_ms"`
	Reason  string `json:"reason"`

	// error
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Field  string `json:"field"`
	Close  int    `json:"close"`

	// location_update, typing, presence, delivered, read
	UserID     int64    `json:"user_id"`
	Role       string   `json:"role"`
	Latitude   *float64 `json:"latitude"`
	Longitude  *float64 `json:"longitude"`
	Accuracy   *float64 `json:"accuracy"`
	Heading    *float64 `json:"heading"`
	Speed      *float64 `json:"speed"`
	RecordedAt string   `json:"recorded_at"`
	IsTyping   bool     `json:"is_typing"`
	Online     bool     `json:"online"`
	LastSeen   string   `json:"last_seen"`

	// greeting
	Replica  string `json:"replica"`
	Time     string `json:"time"`
	NotReady string `json:"not_ready"` // the cause, if the replica is not ready
}

// A Peer is the other side of a room, as connected describes it.
type Peer struct {
	ID           int64  `json:"id"`
	Online       *bool  `json:"online"` // nil if the server does not tell
	LastSeen     string `json:"last_seen"`
	DeliveredSeq int64  `json:"delivered_seq"`
	ReadSeq      int64  `json:"read_seq"`
}

// parseFrame never fails. A message that is not a JSON object, such as an echo, becomes a
// frame with only Raw. A field of an unexpected type does not hide the others.
func parseFrame(raw []byte, binary bool, at time.Time) Frame {
	f := Frame{}
	if !binary {
		err := json.Unmarshal(raw, &f)
		if _, odd := errors.AsType[*json.UnmarshalTypeError](err); err != nil && !odd {
			f = Frame{}
		}
	}
	f.At, f.Raw, f.Binary = at, raw, binary
	return f
}
