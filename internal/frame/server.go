package frame

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

// The types of the frames that only the server sends.
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
)

// TimeLayout is how times are written: RFC 3339, UTC, milliseconds.
const TimeLayout = "2006-01-02T15:04:05.000Z"

// Connected is the first frame after a good handshake. The location endpoint
// sends only the reference.
type Connected struct {
	Type           string `json:"type"`
	Ref            string `json:"ref"`
	ConversationID string `json:"conversation_id,omitempty"`
	LastSeq        *int64 `json:"last_seq,omitempty"`
}

// Resumed follows the replay that since asked for. ToSeq is FromSeq-1 where
// there was nothing to replay. Reset tells a client whose since lay beyond the
// stored messages to drop what it has beyond ToSeq.
type Resumed struct {
	Type    string `json:"type"`
	FromSeq int64  `json:"from_seq"`
	ToSeq   int64  `json:"to_seq"`
	Reset   bool   `json:"reset,omitempty"`
}

// Ack answers every message that a socket sent, once it is committed.
type Ack struct {
	Type            string `json:"type"`
	ClientMessageID string `json:"client_message_id,omitempty"`
	ID              string `json:"id"`
	Seq             int64  `json:"seq"`
	Timestamp       string `json:"timestamp"`
	Duplicate       bool   `json:"duplicate"`
}

// History is a page of what was said before, oldest first.
type History struct {
	Type     string            `json:"type"`
	Messages []json.RawMessage `json:"messages"`
	HasMore  bool              `json:"has_more"`
}

// Reconnect asks the client to come back after a delay in milliseconds.
type Reconnect struct {
	Type    string `json:"type"`
	AfterMS int64  `json:"after_ms"`
	Reason  string `json:"reason"`
}

// TokenExpiring says that the socket's token has ExpiresIn seconds left: the client
// sends an auth frame with a fresh one, or is closed with 4001 token_expired.
type TokenExpiring struct {
	Type      string `json:"type"`
	ExpiresIn int64  `json:"expires_in"`
}

// Probe is what a probe frame comes back as, to every socket that its sender has in
// the room.
type Probe struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

// Error says what was wrong. Close is the code that follows, 0 where the socket
// stays open.
type Error struct {
	Type            string `json:"type"`
	Code            string `json:"code"`
	Detail          string `json:"detail,omitempty"`
	Ref             string `json:"ref,omitempty"`
	Field           string `json:"field,omitempty"`
	ClientMessageID string `json:"client_message_id,omitempty"`
	Close           int    `json:"close,omitempty"`
}

// Greeting is what /ws/test/?greet=1 says first.
type Greeting struct {
	Type    string `json:"type"`
	Replica string `json:"replica"`
	Time    string `json:"time"`
	Ref     string `json:"ref"`
}

// Pong answers a ping frame.
var Pong = []byte(`{"type":"pong"}`)

// Encode returns the JSON of one of this package's frames.
func Encode(f any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(f); err != nil {
		panic("encode a frame of our own: " + err.Error()) // none of them holds what JSON cannot
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// Encode returns the frames that go before c: a reconnect frame before 1012 and
// 1013, an error frame before every other close that is the client's business,
// none before a plain goodbye.
func (c *Close) Encode(ref string) []byte {
	switch {
	case c.Reason == "bye" || c.Reason == "": // the answer to the peer's own
		return nil
	case c.Code == CodeRestart || c.Code == CodeTryLater:
		return Encode(Reconnect{Type: TypeReconnect, AfterMS: c.After.Milliseconds(), Reason: c.Reason})
	default:
		detail := c.Detail
		if detail == "" {
			detail = Find(c.Code, c.Reason).Means
		}
		return Encode(Error{Type: TypeError, Code: c.Reason, Detail: detail, Ref: ref, Close: c.Code})
	}
}

// AppendMessage appends the chat_message frame of m. It is written by hand
// because every message is encoded once on the way to all its sockets.
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
	if m.ClientMessageID != "" {
		b = append(b, `,"client_message_id":`...)
		b = appendString(b, m.ClientMessageID)
	}
	b = append(b, `,"timestamp":"`...)
	b = m.At.UTC().AppendFormat(b, TimeLayout)
	return append(b, `"}`...)
}

// AppendAck appends the ack frame of m.
func AppendAck(b []byte, m *room.Message, duplicate bool) []byte {
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
	return append(strconv.AppendBool(b, duplicate), '}')
}

// AppendPosition appends the location_update frame of a position that user sent
// and that arrived at the given time.
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

// appendFloat writes coordinates without an exponent, which some clients' number
// parsers trip over, and values too large for that with one.
func appendFloat(b []byte, f float64) []byte {
	if math.Abs(f) < 1e15 {
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	}
	return strconv.AppendFloat(b, f, 'e', -1, 64)
}

const hexDigits = "0123456789abcdef"

// appendString appends s, which is valid UTF-8, as a JSON string (RFC 8259 §7).
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
