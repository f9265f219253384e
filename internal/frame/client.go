// Package frame is the wire: the JSON frames of the protocol and the codes that
// a socket can be closed with. It knows nothing of sockets.
package frame

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/roomspa/roomspa/internal/room"
)

// The types of the frames that clients send.
const (
	TypeChatMessage = "chat_message"
	TypeHistory     = "history"
	TypePing        = "ping"
	TypeAuth        = "auth"
	TypeProbe       = "probe" // the server sends it back
)

// MaxProbeID is the most bytes that the id of a probe may have.
const MaxProbeID = 64

// DefaultHistoryLimit and MaxHistoryLimit bound a page of history.
const (
	DefaultHistoryLimit = 50
	MaxHistoryLimit     = 200
)

// A Client is a frame of the chat endpoint, as a client sent it. Which fields
// mean something depends on Type.
type Client struct {
	Type            string
	Message         string
	ClientMessageID string
	BeforeSeq       int64  // history: 0 for the newest page
	Limit           int    // history
	Token           string // auth
	ProbeID         string // probe
}

type clientJSON struct {
	Type            *string `json:"type"`
	Message         *string `json:"message"`
	ClientMessageID string  `json:"client_message_id"`
	BeforeSeq       *int64  `json:"before_seq"`
	Limit           *int    `json:"limit"`
	Token           *string `json:"token"`
	ID              *string `json:"id"`
}

// Decode reads a frame of the chat endpoint. Text that is not UTF-8 is a
// *[Close] 1007; everything else that is wrong is a *[room.Invalid], after which
// the socket stays open. A client_message_id that could be read is returned
// beside the error, so that the client learns which of its sends failed.
func Decode(text []byte) (Client, error) {
	if c, ok := plainClient(text); ok {
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
		return c, &room.Invalid{Code: "unknown_type", Field: "type", Detail: "a frame needs a type, or a message"}
	}
	switch c.Type {
	case TypeChatMessage:
		if in.Message == nil {
			return c, &room.Invalid{Code: "empty_message", Field: "message", Detail: "message is missing; nothing was stored"}
		}
		c.Message = *in.Message
	case TypeHistory:
		return c, c.page(in)
	case TypeAuth:
		token, err := fresh(in.Token)
		c.Token = token
		return c, err
	case TypeProbe:
		if in.ID == nil || *in.ID == "" || len(*in.ID) > MaxProbeID {
			return c, &room.Invalid{Code: "out_of_range", Field: "id", Detail: "a probe needs an id of 1 to 64 bytes"}
		}
		c.ProbeID = *in.ID
	case TypePing:
	default:
		return c, &room.Invalid{Code: "unknown_type", Field: "type", Detail: "there is no frame of type " + quoteShort(c.Type)}
	}
	return c, nil
}

// fresh returns the token of an auth frame.
func fresh(token *string) (string, error) {
	if token == nil || *token == "" {
		return "", &room.Invalid{Code: "token_missing", Field: "token", Detail: "token is missing; the socket keeps the one it has"}
	}
	return *token, nil
}

func (c *Client) page(in clientJSON) error {
	if in.BeforeSeq != nil {
		if c.BeforeSeq = *in.BeforeSeq; c.BeforeSeq < 1 {
			return &room.Invalid{Code: "out_of_range", Field: "before_seq", Detail: "before_seq must be 1 or more"}
		}
	}
	if in.Limit != nil {
		if c.Limit = *in.Limit; c.Limit < 1 || c.Limit > MaxHistoryLimit {
			return &room.Invalid{Code: "out_of_range", Field: "limit", Detail: "limit must be between 1 and 200"}
		}
	}
	return nil
}

// Located is a frame of the location endpoint, as a client sent it: a position,
// where Type is empty, or a ping or an auth frame.
type Located struct {
	Type     string
	Position room.Position
	Token    string // auth
}

// DecodePosition reads a frame of the location endpoint. Its errors are those of
// [Decode].
func DecodePosition(text []byte) (Located, error) {
	if p, ok := plainPosition(text); ok {
		return Located{Position: p}, nil
	}
	return decodeLocated(text)
}

func decodeLocated(text []byte) (l Located, err error) {
	var in struct {
		Type       *string  `json:"type"`
		Token      *string  `json:"token"`
		Latitude   *float64 `json:"latitude"`
		Longitude  *float64 `json:"longitude"`
		Accuracy   *float64 `json:"accuracy"`
		Heading    *float64 `json:"heading"`
		Speed      *float64 `json:"speed"`
		RecordedAt *string  `json:"recorded_at"`
	}
	if err := decode(text, &in); err != nil {
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
			l.Token, err = fresh(in.Token)
			return l, err
		default:
			return l, &room.Invalid{Code: "unknown_type", Field: "type", Detail: "there is no frame of type " + quoteShort(*in.Type)}
		}
	}
	p := &l.Position
	for _, f := range []struct {
		to   *float64
		from *float64
	}{{&p.Latitude, in.Latitude}, {&p.Longitude, in.Longitude}, {&p.Accuracy, in.Accuracy}, {&p.Heading, in.Heading}, {&p.Speed, in.Speed}} {
		if *f.to = math.NaN(); f.from != nil {
			*f.to = *f.from
		}
	}
	if in.RecordedAt != nil {
		var ok bool
		if p.RecordedAt, ok = recordedAt(*in.RecordedAt); !ok {
			return l, &room.Invalid{Code: "bad_frame", Field: "recorded_at", Detail: "recorded_at must be a time of RFC 3339, as in 2026-01-31T12:00:00Z"}
		}
	}
	if bad := p.Validate(); bad != nil {
		return l, bad
	}
	return l, nil
}

// decode reads the fields that the struct has tags for, all of them also where one
// is wrong. encoding/json does not get to see the struct: it would take "Message" for
// "message", and fields that are not known are ignored. Nor is it trusted with invalid
// UTF-8 and lone surrogates, which it turns into U+FFFD without an error.
func decode(text []byte, into any) error {
	if !utf8.Valid(text) {
		return &Close{Code: CodeInvalidData, Reason: "invalid_utf8", Detail: "the text frame is not UTF-8"}
	}
	trimmed := bytes.TrimLeft(text, " \t\r\n")
	if len(trimmed) == 0 || trimmed[0] != '{' {
		return &room.Invalid{Code: "bad_json", Detail: "a frame must be one JSON object"}
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(text, &members) != nil {
		return &room.Invalid{Code: "bad_json", Detail: "the frame is not valid JSON"}
	}
	var first error
	for field, value := range reflect.ValueOf(into).Elem().Fields() {
		name := field.Tag.Get("json")
		raw, said := members[name]
		if !said {
			continue
		}
		if err := read(name, raw, value.Addr().Interface()); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func read(name string, raw []byte, into any) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](json.Unmarshal(raw, into)); ok {
		return &room.Invalid{Code: "bad_frame", Field: name, Detail: name + " must be a " + kind(wrong.Type.String()) + ", not a " + wrong.Value}
	}
	if unstorable(raw) {
		return &room.Invalid{Code: "bad_text", Field: name, Detail: name + " holds a NUL character or half of a surrogate pair"}
	}
	return nil
}

// unstorable reports an escape for NUL, which Postgres cannot store, or for a
// surrogate without its other half (RFC 8259 §8.2). text is valid JSON.
func unstorable(text []byte) bool {
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

func kind(goType string) string {
	switch strings.TrimPrefix(goType, "*") {
	case "string":
		return "text"
	case "float64":
		return "number"
	default:
		return "whole number"
	}
}

func quoteShort(s string) string {
	if r := []rune(s); len(r) > 32 {
		s = string(r[:32]) + "…"
	}
	return `"` + s + `"`
}
