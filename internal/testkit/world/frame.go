package world

import (
	"fmt"
	"testing"
)

// Frame is a frame as a client sees it: every field of every type.
type Frame struct {
	Type            string  `json:"type"`
	Ref             string  `json:"ref"`
	ConversationID  string  `json:"conversation_id"`
	FirstSeq        *int64  `json:"first_seq"`
	LastSeq         *int64  `json:"last_seq"`
	DeliveredSeq    *int64  `json:"delivered_seq"`
	ReadSeq         *int64  `json:"read_seq"`
	Unread          *int    `json:"unread"`
	Peer            *Peer   `json:"peer"`
	FromSeq         int64   `json:"from_seq"`
	ToSeq           int64   `json:"to_seq"`
	Reset           bool    `json:"reset"`
	ID              string  `json:"id"`
	Seq             int64   `json:"seq"`
	SenderID        int64   `json:"sender_id"`
	SenderRole      string  `json:"sender_role"`
	Message         string  `json:"message"`
	ClientMessageID string  `json:"client_message_id"`
	Timestamp       string  `json:"timestamp"`
	Duplicate       bool    `json:"duplicate"`
	Messages        []Frame `json:"messages"`
	HasMore         bool    `json:"has_more"`
	AfterMS         *int64  `json:"after_ms"`
	Reason          string  `json:"reason"`
	Code            string  `json:"code"`
	Detail          string  `json:"detail"`
	Field           string  `json:"field"`
	Close           int     `json:"close"`
	Replica         string  `json:"replica"`

	UserID     int64    `json:"user_id"`
	Role       string   `json:"role"`
	Latitude   *float64 `json:"latitude"`
	Longitude  *float64 `json:"longitude"`
	Accuracy   *float64 `json:"accuracy"`
	Heading    *float64 `json:"heading"`
	Speed      *float64 `json:"speed"`
	RecordedAt string   `json:"recorded_at"`

	Raw    string `json:"-"` // the whole text
	Binary bool   `json:"-"`
}

// Peer is the other side of a room in a connected frame.
type Peer struct {
	ID           int64  `json:"id"`
	Online       *bool  `json:"online"`
	LastSeen     string `json:"last_seen"`
	DeliveredSeq int64  `json:"delivered_seq"`
	ReadSeq      int64  `json:"read_seq"`
}

// IsReceipt reports whether the frame is about a cursor.
func (f Frame) IsReceipt() bool { return f.Type == "delivered" || f.Type == "read" }

func (f Frame) String() string { return fmt.Sprintf("%.300s", f.Raw) }

// Message is a message as a socket or the store has it.
type Message struct {
	Seq    int64
	ID     string
	Sender int64
	Text   string
}

// ChatMessage returns the message of a chat_message frame.
func (f Frame) ChatMessage() Message { return Message{f.Seq, f.ID, f.SenderID, f.Message} }

// Messages returns the stored messages of the world's only conversation by seq.
func (w *World) Messages(t testing.TB) []Message {
	t.Helper()
	rows := Query[[]string](t, w, `SELECT coalesce(array_agg(seq || '|' || id || '|' || sender_id || '|' || body ORDER BY seq), '{}') FROM roomspa.messages`)
	list := make([]Message, len(rows))
	for i, row := range rows {
		var m Message
		if _, err := fmt.Sscanf(row, "%d|%36s|%d|%s", &m.Seq, &m.ID, &m.Sender, &m.Text); err != nil {
			t.Fatalf("%q: %v", row, err)
		}
		list[i] = m
	}
	return list
}

// ExpectSame requires two lists of messages to be the same.
func ExpectSame(t testing.TB, who string, got, want []Message) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s has %d messages, want %d", who, len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("%s has %+v, want %+v", who, got[i], want[i])
		}
	}
}
