package frame

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

// The frame types that only the server sends.
const (
	TypeConnected      = "connected"
	TypeResumed        = "resumed"
	TypeAck            = "ack"
	TypePong           = "pong"
	TypeReconnect      = "reconnect"
	TypeTokenExpiring  = "token_expiring"
	TypeError          = "error"
	TypeLocationUpdate = "location_update"
	TypeGreeting       = "greeting"
	TypePresence       = "presence"
	TypeConversation   = "conversation"
	TypeInboxComplete  = "inbox_complete"
)

// TimeLayout is the layout of times in frames: RFC 3339 in UTC with milliseconds.
const TimeLayout = "2006-01-02T15:04:05.000Z"

// Connected is the first frame after a successful handshake. The location and the inbox
// endpoint send only Type and Ref. Support gets neither the cursor, nor Unread, nor Peer.
type Connected struct {
	Type           string `json:"type"`
	Ref            string `json:"ref"`
	ConversationID string `json:"conversation_id,omitempty"`
	FirstSeq       *int64 `json:"first_seq,omitempty"`
	LastSeq        *int64 `json:"last_seq,omitempty"`
	DeliveredSeq   *int64 `json:"delivered_seq,omitempty"`
	ReadSeq        *int64 `json:"read_seq,omitempty"`
	Unread         *int   `json:"unread,omitempty"`
	Peer           *Peer  `json:"peer,omitempty"`
}

// Peer is the other side of a room. Online and LastSeen are left out where presence is off or
// one side has blocked the other.
type Peer struct {
	ID           room.UserID `json:"id"`
	Online       *bool       `json:"online,omitempty"`
	LastSeen     string      `json:"last_seen,omitempty"`
	DeliveredSeq int64       `json:"delivered_seq"`
	ReadSeq      int64       `json:"read_seq"`
}

// Receipt says how far a user has received (delivered) or read a conversation. The inbox
// endpoint sends ConversationID too.
type Receipt struct {
	Type           string      `json:"type"`
	ConversationID string      `json:"conversation_id,omitempty"`
	UserID         room.UserID `json:"user_id"`
	Seq            int64       `json:"seq"`
}

// Typing says that the other side writes a message, or has stopped. It ends by itself after
// ExpiresInMS.
type Typing struct {
	Type        string      `json:"type"`
	UserID      room.UserID `json:"user_id"`
	IsTyping    bool        `json:"is_typing"`
	ExpiresInMS int64       `json:"expires_in_ms,omitempty"`
}

// TypingExpires is the value of Typing.ExpiresInMS.
const TypingExpires = 6 * time.Second

// Presence says whether a user is online. LastSeen is left out if it is not known. The inbox
// endpoint sends ConversationID too.
type Presence struct {
	Type           string      `json:"type"`
	ConversationID string      `json:"conversation_id,omitempty"`
	UserID         room.UserID `json:"user_id"`
	Online         bool        `json:"online"`
	LastSeen       string      `json:"last_seen,omitempty"`
}

// Conversation is the state of one conversation of an inbox.
type Conversation struct {
	Type           string      `json:"type"`
	ConversationID string      `json:"conversation_id"`
	CustomerID     room.UserID `json:"customer_id"`
	TherapistID    room.UserID `json:"therapist_id"`
	LastSeq        int64       `json:"last_seq"`
	LastMessageAt  string      `json:"last_message_at,omitempty"`
	Unread         int         `json:"unread"`
	Message        string      `json:"message,omitempty"` // of the newest message, with ?text=1
}

// InboxComplete follows the last conversation that the inbox had when the socket opened.
var InboxComplete = []byte(`{"type":"inbox_complete"}`)

// Resumed ends the replay that the client asked for with since. ToSeq is FromSeq-1 if
// there was nothing to replay. LastSeq is the newest message that was stored when the
// client resumed. FirstSeq is the oldest one: what was before it has been deleted.
//
// Reset is true if the client has messages that the server does not have: it must drop
// all that it has of the conversation, read the history from LastSeq, and is live from
// there. A reset is also sent without since, at any time, if the database was restored or
// replaced.
type Resumed struct {
	Type     string `json:"type"`
	FromSeq  int64  `json:"from_seq"`
	ToSeq    int64  `json:"to_seq"`
	FirstSeq int64  `json:"first_seq"`
	LastSeq  int64  `json:"last_seq"`
	Reset    bool   `json:"reset,omitempty"`
}

// Ack confirms to the sending socket that its message is committed.
type Ack struct {
	Type            string `json:"type"`
	ClientMessageID string `json:"client_message_id,omitempty"`
	ID              string `json:"id"`
	Seq             int64  `json:"seq"`
	Timestamp       string `json:"timestamp"`
	Duplicate       bool   `json:"duplicate"`
	Differs         bool   `json:"differs,omitempty"` // the stored message has other content
}

// History is a page of earlier messages, oldest first. [EncodeHistory] writes it.
type History struct {
	Type     string            `json:"type"`
	Messages []json.RawMessage `json:"messages"`
	HasMore  bool              `json:"has_more"`
}

// Reconnect asks the client to reconnect after AfterMS milliseconds.
type Reconnect struct {
	Type    string `json:"type"`
	AfterMS int64  `json:"after_ms"`
	Reason  string `json:"reason"`
	Ref     string `json:"ref"`
}

// TokenExpiring warns that the connection's token expires in ExpiresIn seconds, at ExpiresAt. The client
// must send an auth frame with a new token, or the socket is closed with 4001 token_expired.
type TokenExpiring struct {
	Type      string `json:"type"`
	ExpiresIn int64  `json:"expires_in"`
	ExpiresAt string `json:"expires_at"`
}

// Probe echoes a probe frame to every socket that its sender has in the room.
type Probe struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

// Error reports an error to the client. Close is the code with which the socket is closed
// next; it is 0 if the socket stays open.
type Error struct {
	Type            string `json:"type"`
	Code            string `json:"code"`
	Detail          string `json:"detail,omitempty"`
	Ref             string `json:"ref,omitempty"`
	Field           string `json:"field,omitempty"`
	ClientMessageID string `json:"client_message_id,omitempty"`
	Close           int    `json:"close,omitempty"`
}

// Greeting is the first frame of /ws/test/?greet=1.
type Greeting struct {
	Type    string `json:"type"`
	Replica string `json:"replica"`
	Time    string `json:"time"`
	Ref     string `json:"ref"`
	// NotReady is the word of the cause for which the replica is not ready.
	NotReady string `json:"not_ready,omitempty"`
}

// Pong answers a ping frame.
var Pong = []byte(`{"type":"pong"}`)

// Encode returns f, one of this package's frames, as JSON.
func Encode(f any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(f); err != nil {
		panic("encode a frame: " + err.Error()) // every field of every frame can be encoded
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Encode returns the frame that is sent before the Close: a reconnect frame for 1012 and
// 1013, nil for a Close that answers the peer's, and an error frame otherwise.
func (c *Close) Encode(ref string) []byte {
	switch {
	case c.Reason == "bye" || c.Reason == "": // answers the peer's Close
		return nil
	case c.Code == CodeRestart || c.Code == CodeTryLater:
		return Encode(Reconnect{Type: TypeReconnect, AfterMS: c.After.Milliseconds(), Reason: c.Reason, Ref: ref})
	default:
		return Encode(Error{Type: TypeError, Code: c.Reason, Detail: c.detail(), Ref: ref, Close: c.Code})
	}
}

// AppendMessage appends the chat_message frame of m to b. It does not use encoding/json,
// because it is on the path of every message.
func AppendMessage(b []byte, m *room.Message) []byte {
	b = append(b, `{"type":"chat_message","id":"`...)
	b = m.ID.Append(b)
	b = append(b, `","conversation_id":"`...)
	b = m.Conversation.Append(b)
	b = append(b, `","seq":`...)
	b = strconv.AppendInt(b, m.Seq, 10)
	b = append(b, `,"sender_id":`...)
	b = strconv.AppendInt(b, int64(m.Sender), 10)
	b = append(b, `,"sender_role":"`...)
	b = append(b, m.SenderRole...)
	b = append(b, `","message":`...)
	b = appendString(b, m.Text)
	b = append(b, `,"message_type":`...)
	b = appendString(b, cmp.Or(m.Type, room.TypeText))
	if m.Metadata != "" {
		b = append(b, `,"metadata":`...)
		b = append(b, m.Metadata...)
	}
	if m.ClientMessageID != "" {
		b = append(b, `,"client_message_id":`...)
		b = appendString(b, m.ClientMessageID)
	}
	b = append(b, `,"timestamp":"`...)
	b = m.At.UTC().AppendFormat(b, TimeLayout)
	return append(b, `"}`...)
}

// AppendAck appends the ack frame of m to b. With differs, m is a duplicate whose content is not
// what was sent.
func AppendAck(b []byte, m *room.Message, duplicate, differs bool) []byte {
	b = append(b, `{"type":"ack"`...)
	if m.ClientMessageID != "" {
		b = append(b, `,"client_message_id":`...)
		b = appendString(b, m.ClientMessageID)
	}
	b = append(b, `,"id":"`...)
	b = m.ID.Append(b)
	b = append(b, `","seq":`...)
	b = strconv.AppendInt(b, m.Seq, 10)
	b = append(b, `,"timestamp":"`...)
	b = m.At.UTC().AppendFormat(b, TimeLayout)
	b = append(b, `","duplicate":`...)
	b = strconv.AppendBool(b, duplicate)
	if differs {
		b = append(b, `,"differs":true`...)
	}
	return append(b, '}')
}

// AppendPosition appends to b the location_update frame of a position that user sent and
// that the server received at the time at.
func AppendPosition(b []byte, user room.UserID, role room.Role, p room.Position, at time.Time) []byte {
	b = append(b, `{"type":"location_update","user_id":`...)
	b = strconv.AppendInt(b, int64(user), 10)
	b = append(b, `,"role":"`...)
	b = append(append(b, role...), '"')
	for _, f := range [...]struct {
		key string
		v   float64
	}{{`,"latitude":`, p.Latitude}, {`,"longitude":`, p.Longitude}, {`,"accuracy":`, p.Accuracy}, {`,"heading":`, p.Heading}, {`,"speed":`, p.Speed}} {
		if !math.IsNaN(f.v) {
			b = appendFloat(append(b, f.key...), f.v)
		}
	}
	if !p.RecordedAt.IsZero() {
		b = append(b, `,"recorded_at":"`...)
		b = p.RecordedAt.UTC().AppendFormat(b, TimeLayout)
		b = append(b, '"')
	}
	b = append(b, `,"timestamp":"`...)
	b = at.UTC().AppendFormat(b, TimeLayout)
	return append(b, `"}`...)
}

// appendFloat appends f. It uses an exponent only for very large values, because some
// clients cannot parse one. The number always has a fraction: some clients would read one
// without it as an integer.
func appendFloat(b []byte, f float64) []byte {
	start := len(b)
	if math.Abs(f) >= 1e15 {
		b = strconv.AppendFloat(b, f, 'e', -1, 64)
		if e := bytes.IndexByte(b[start:], 'e'); bytes.IndexByte(b[start:], '.') < 0 {
			b = slices.Insert(b, start+e, '.', '0')
		}
		return b
	}
	b = strconv.AppendFloat(b, f, 'f', -1, 64)
	if bytes.IndexByte(b[start:], '.') < 0 {
		b = append(b, '.', '0')
	}
	return b
}

const hexDigits = "0123456789abcdef"

// appendString appends s, which must be valid UTF-8, as a JSON string (RFC 8259 §7).
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		start = i + 1
	}
	return append(append(b, s[start:]...), '"')
}
