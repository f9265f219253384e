// Package frame defines the JSON frames of the protocol and the close codes. It decodes
// the frames that clients send and encodes those that the server sends. It does no I/O.
package frame

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"unicode/utf8"

	"github.com/roomspa/roomspa/internal/room"
)

// The frame types that clients send.
const (
	TypeChatMessage = "chat_message"
	TypeHistory     = "history"
	TypePing        = "ping"
	TypeAuth        = "auth"
	TypeProbe       = "probe" // echoed by the server
	TypeTyping      = "typing"
	TypeDelivered   = "delivered"
	TypeRead        = "read"
)

// MaxProbeID is the maximum length of a probe's id, in bytes.
const MaxProbeID = 64

// DefaultHistoryLimit and MaxHistoryLimit are the default and the maximum number of
// messages in a page of history.
const (
	DefaultHistoryLimit = 50
	MaxHistoryLimit     = 200
)

// A Client is a frame that a client sent to the chat or the inbox endpoint. Type decides which
// of the other fields are set.
type Client struct {
	Type            string
	Message         string
	MessageType     string // chat_message: empty for text
	Metadata        string // chat_message: a JSON object, or empty
	ClientMessageID string
	BeforeSeq       int64  // history: 0 for the newest page
	Limit           int    // history
	Seq             int64  // delivered, read
	IsTyping        bool   // typing
	ConversationID  string // delivered, read: of the inbox
	Token           string // auth
	ProbeID         string // probe
}

type clientJSON struct {
	Type            *string    `json:"type"`
	Message         *string    `json:"message"`
	ClientMessageID string     `json:"client_message_id"`
	MessageType     string     `json:"message_type"`
	Metadata        jsonObject `json:"metadata"`
	Seq             *Integer   `json:"seq"`
	IsTyping        *bool      `json:"is_typing"`
	ConversationID  string     `json:"conversation_id"`
	BeforeSeq       *Integer   `json:"before_seq"`
	Limit           *Integer   `json:"limit"`
	Token           *string    `json:"token"`
	ID              *string    `json:"id"`
}

// Decode decodes a frame of the chat endpoint. The error is a *[Close] 1007 if the text
// is not UTF-8, and otherwise a *[room.Invalid], after which the socket stays open. The
// client_message_id is returned with the error if it could be read, because the client
// needs it to know which of its messages failed.
func Decode(text []byte) (Client, error) {
	if c, ok := decodeClientFast(text); ok {
		return c, nil
	}
	return decodeClient(text)
}

func decodeClient(text []byte) (Client, error) {
	var in clientJSON
	err := decode(text, &in)
	c := Client{ClientMessageID: in.ClientMessageID, Limit: DefaultHistoryLimit}
	if err != nil {
		return c, err
	}
	switch {
	case in.Type != nil:
		c.Type = *in.Type
	case in.Message != nil:
		c.Type = TypeChatMessage
	default:
		return c, &room.Invalid{Code: "unknown_type", Field: "type", Detail: "the frame has neither type nor message"}
	}
	switch c.Type {
	case TypeChatMessage:
		if in.Message == nil {
			return c, &room.Invalid{Code: "empty_message", Field: "message", Detail: "message is missing; nothing was stored"}
		}
		c.Message, c.MessageType, c.Metadata = *in.Message, in.MessageType, string(in.Metadata)
	case TypeHistory:
		return c, c.setPage(in)
	case TypeDelivered, TypeRead:
		if in.Seq == nil || *in.Seq < 1 {
			return c, &room.Invalid{Code: "out_of_range", Field: "seq", Detail: "seq must be the number of a message"}
		}
		c.Seq, c.ConversationID = int64(*in.Seq), in.ConversationID
	case TypeTyping:
		if in.IsTyping == nil {
			return c, &room.Invalid{Code: "missing_field", Field: "is_typing", Detail: "is_typing is missing"}
		}
		c.IsTyping = *in.IsTyping
	case TypeAuth:
		var err error
		c.Token, err = requireToken(in.Token)
		return c, err
	case TypeProbe:
		if in.ID == nil || *in.ID == "" || len(*in.ID) > MaxProbeID {
			return c, &room.Invalid{Code: "out_of_range", Field: "id", Detail: "id must have 1 to 64 bytes"}
		}
		c.ProbeID = *in.ID
	case TypePing:
	default:
		return c, &room.Invalid{Code: "unknown_type", Field: "type", Detail: "unknown frame type " + quoteShort(c.Type)}
	}
	return c, nil
}

// A lenient is an optional value. One that cannot be read counts as absent.
type lenient[T any] struct{ value *T }

// UnmarshalJSON implements [json.Unmarshaler]. It never fails.
func (l *lenient[T]) UnmarshalJSON(text []byte) error {
	if json.Unmarshal(text, &l.value) != nil {
		l.value = nil
	}
	return nil
}

func (*lenient[T]) isLenient() {}

// An Integer is a whole number. Clients may write it with a fraction of zeros (41.0), as
// programs do that know only floating-point numbers.
type Integer int64

// UnmarshalJSON implements [json.Unmarshaler].
func (i *Integer) UnmarshalJSON(text []byte) error {
	err := json.Unmarshal(text, (*int64)(i))
	if err == nil {
		return nil
	}
	var f float64
	if json.Unmarshal(text, &f) != nil || f != math.Trunc(f) || math.Abs(f) > room.MaxID {
		return err //nolint:wrapcheck // the caller looks at its type
	}
	*i = Integer(f)
	return nil
}

// A jsonObject is the text of a JSON object without insignificant white space, or empty.
type jsonObject string

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: a value that is not an object is
// kept, and refused by room.Draft.Validate.
func (o *jsonObject) UnmarshalJSON(text []byte) error {
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return err //nolint:wrapcheck // the caller has checked the syntax
	}
	if *o = jsonObject(compact.String()); *o == "null" {
		*o = ""
	}
	return nil
}

// requireToken returns the token of an auth frame.
func requireToken(token *string) (string, error) {
	if token == nil || *token == "" {
		return "", &room.Invalid{Code: "token_missing", Field: "token", Detail: "token is missing; the connection keeps its current token"}
	}
	return *token, nil
}

// setPage takes the parameters of a history frame.
func (c *Client) setPage(in clientJSON) error {
	if in.BeforeSeq != nil {
		if c.BeforeSeq = int64(*in.BeforeSeq); c.BeforeSeq < 1 {
			return &room.Invalid{Code: "out_of_range", Field: "before_seq", Detail: "before_seq must be 1 or more"}
		}
	}
	if in.Limit != nil {
		if c.Limit = int(*in.Limit); c.Limit < 1 || c.Limit > MaxHistoryLimit {
			return &room.Invalid{Code: "out_of_range", Field: "limit", Detail: "limit must be between 1 and 200"}
		}
	}
	return nil
}

// Located is a frame that a client sent to the location endpoint: a position if Type is
// empty, else a ping or an auth frame.
type Located struct {
	Type     string
	Position room.Position
	Token    string // auth
}

// DecodePosition decodes a frame of the location endpoint. Its errors are those of
// [Decode].
func DecodePosition(text []byte) (Located, error) {
	if p, ok := decodePositionFast(text); ok {
		return Located{Position: p}, nil
	}
	return decodeLocated(text)
}

func decodeLocated(text []byte) (l Located, err error) {
	var in struct {
		Type       *string          `json:"type"`
		Token      *string          `json:"token"`
		Latitude   *number          `json:"latitude"`
		Longitude  *number          `json:"longitude"`
		Accuracy   lenient[float64] `json:"accuracy"`
		Heading    lenient[float64] `json:"heading"`
		Speed      lenient[float64] `json:"speed"`
		RecordedAt lenient[string]  `json:"recorded_at"`
	}
	if err := decode(NullNaN(text), &in); err != nil {
		return l, err
	}
	if in.Type != nil {
		switch *in.Type {
		case TypeLocationUpdate, "location":
		case TypePing:
			l.Type = TypePing
			return l, nil
		case TypeAuth:
			l.Type = TypeAuth
			l.Token, err = requireToken(in.Token)
			return l, err
		default:
			return l, &room.Invalid{Code: "unknown_type", Field: "type", Detail: "unknown frame type " + quoteShort(*in.Type)}
		}
	}
	p := &l.Position
	for _, f := range []struct {
		to   *float64
		from *float64
	}{{&p.Latitude, (*float64)(in.Latitude)}, {&p.Longitude, (*float64)(in.Longitude)}, {&p.Accuracy, in.Accuracy.value}, {&p.Heading, in.Heading.value}, {&p.Speed, in.Speed.value}} {
		if *f.to = math.NaN(); f.from != nil {
			*f.to = *f.from
		}
	}
	if text := in.RecordedAt.value; text != nil {
		if at, ok := parseRecordedAt(*text); ok {
			p.RecordedAt = at
		}
	}
	if bad := p.Normalize(); bad != nil {
		return l, bad
	}
	return l, nil
}

// byteOrderMark may come before JSON, although no client should send one (RFC 8259 §8.1).
var byteOrderMark = []byte("\ufeff")

// DecodeMembers decodes the members of a JSON object that the struct into names in its json
// tags, and ignores the others. A null leaves a field alone. Its errors are those of [Decode].
func DecodeMembers(text []byte, into any) error { return decode(text, into) }

// decode fills the fields of the struct into. It goes on after an error, and returns the
// first one. It decodes into a map first, because encoding/json would take "Message" for
// a struct's "message". Invalid UTF-8 and unpaired surrogates are refused, because
// encoding/json would replace them by U+FFFD without an error.
func decode(text []byte, into any) error {
	text = bytes.TrimPrefix(text, byteOrderMark)
	if !utf8.Valid(text) {
		return &Close{Code: CodeInvalidData, Reason: "invalid_utf8", Detail: "the text frame is not UTF-8"}
	}
	trimmed := bytes.TrimLeft(text, " \t\r\n")
	if len(trimmed) == 0 || trimmed[0] != '{' {
		return &room.Invalid{Code: "bad_json", Detail: "the frame must be a JSON object"}
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(text, &members) != nil {
		return &room.Invalid{Code: "bad_json", Detail: "the frame is not valid JSON"}
	}
	var first error
	for field, value := range reflect.ValueOf(into).Elem().Fields() {
		name := field.Tag.Get("json")
		raw, found := members[name]
		if !found {
			continue
		}
		if err := decodeField(name, raw, value.Addr().Interface()); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func decodeField(name string, raw []byte, into any) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](json.Unmarshal(raw, into)); ok {
		return &room.Invalid{Code: "bad_frame", Field: name, Detail: name + " must be " + jsonType(wrong.Type.Kind()) + ", got " + wrong.Value}
	}
	if _, lenient := into.(interface{ isLenient() }); !lenient && hasBadEscape(raw) {
		return &room.Invalid{Code: "bad_text", Field: name, Detail: name + " contains a NUL character or an unpaired surrogate"}
	}
	return nil
}

// hasBadEscape reports whether text, which must be valid JSON, has an escape for NUL,
// which Postgres cannot store, or for an unpaired surrogate (RFC 8259 §8.2).
func hasBadEscape(text []byte) bool {
	for i := bytes.IndexByte(text, '\\'); i >= 0 && i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		if i++; text[i] != 'u' {
			continue
		}
		switch u := hex4(text[i+1:]); {
		case u == 0, u >= 0xDC00 && u <= 0xDFFF:
			return true
		case u >= 0xD800 && u <= 0xDBFF:
			rest := text[i+5:]
			if len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' {
				return true
			}
			if low := hex4(rest[2:]); low < 0xDC00 || low > 0xDFFF {
				return true
			}
			i += 6
		}
		i += 4
	}
	return false
}

func hex4(p []byte) (u rune) {
	for _, c := range p[:4] {
		u <<= 4
		switch {
		case c <= '9':
			u |= rune(c - '0')
		default:
			u |= rune(c|0x20-'a') + 10
		}
	}
	return u
}

func jsonType(k reflect.Kind) string {
	switch k {
	case reflect.String:
		return "a string"
	case reflect.Float64:
		return "a number"
	case reflect.Bool:
		return "true or false"
	default:
		return "an integer"
	}
}

func quoteShort(s string) string {
	if r := []rune(s); len(r) > 32 {
		s = string(r[:32]) + "…"
	}
	return `"` + s + `"`
}
