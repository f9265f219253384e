package frame

import (
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/roomspa/roomspa/internal/room"
)

// Nearly every received frame is one flat object of known keys, whose strings have no
// escapes. The fast path decodes those frames in a fraction of the time and stack that
// encoding/json takes; a fresh goroutine would have to grow its stack for it. Everything
// else, invalid frames included, is left to encoding/json. A fuzz test checks that the
// two agree. docs/adr/0011 has the numbers.

// decodeClientFast decodes a valid chat_message, receipt or ping. ok is false if the frame has to
// take the slow path.
func decodeClientFast(text []byte) (c Client, ok bool) {
	s := scanner{text: text}
	c.Limit = DefaultHistoryLimit
	hasMessage := false
	for key := s.firstKey(); key != nil; key = s.nextKey() {
		if string(key) == "seq" {
			c.Seq = s.integer()
			continue
		}
		value := s.string()
		switch string(key) {
		case "type":
			switch string(value) {
			case TypeChatMessage:
				c.Type = TypeChatMessage
			case TypePing:
				c.Type = TypePing
			case TypeDelivered:
				c.Type = TypeDelivered
			case TypeRead:
				c.Type = TypeRead
			default:
				return Client{}, false
			}
		case "message":
			c.Message, hasMessage = string(value), true
		case "client_message_id":
			c.ClientMessageID = string(value)
		default:
			return Client{}, false
		}
	}
	if !s.complete() || !utf8.Valid(text) {
		return Client{}, false
	}
	switch c.Type {
	case TypePing:
		c.Message, c.Seq = "", 0
		return c, true
	case TypeDelivered, TypeRead:
		c.Message = ""
		return c, c.Seq >= 1
	default:
		c.Type, c.Seq = TypeChatMessage, 0
		return c, hasMessage
	}
}

// decodePositionFast decodes a valid position. ok is false if the frame has to take the
// slow path.
func decodePositionFast(text []byte) (p room.Position, ok bool) {
	s := scanner{text: text}
	none := math.NaN()
	p = room.Position{Latitude: none, Longitude: none, Accuracy: none, Heading: none, Speed: none}
	for key := s.firstKey(); key != nil; key = s.nextKey() {
		switch string(key) {
		case "latitude":
			p.Latitude = s.number()
		case "longitude":
			p.Longitude = s.number()
		case "accuracy":
			p.Accuracy = s.number()
		case "heading":
			p.Heading = s.number()
		case "speed":
			p.Speed = s.number()
		case "type":
			if t := s.string(); string(t) != TypeLocationUpdate && string(t) != "location" {
				return p, false
			}
		case "recorded_at":
			if p.RecordedAt, ok = parseRecordedAt(string(s.string())); !ok {
				return p, false
			}
		default:
			return p, false
		}
	}
	return p, s.complete() && utf8.Valid(text) && p.Normalize() == nil
}

// firstYear is the earliest year of a recorded_at. Devices without the time show an earlier one:
// 1970, 1980, 2000, or 1024 weeks ago, when the receiver's count of weeks has wrapped.
const firstYear = 2010

// parseRecordedAt parses an RFC 3339 time between the years 2010 and 9999.
func parseRecordedAt(text string) (time.Time, bool) {
	at, err := time.Parse(time.RFC3339, text)
	at = at.UTC() // before the check: an offset may lead out of the years that RFC 3339 can write
	return at, err == nil && at.Year() >= firstYear && at.Year() <= 9999
}

// A scanner reads the keys and values of one flat JSON object. After the first thing that
// it does not support it returns zero values, and complete returns false.
type scanner struct {
	text   []byte
	pos    int
	failed bool
	closed bool // the closing brace was read
}

// complete reports whether the whole text was one supported object.
func (s *scanner) complete() bool {
	s.skipSpace()
	return !s.failed && s.closed && s.pos == len(s.text)
}

func (s *scanner) skipSpace() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return
		}
	}
}

// consume skips white space, and then c if it comes next.
func (s *scanner) consume(c byte) bool {
	s.skipSpace()
	if s.pos < len(s.text) && s.text[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

// firstKey returns the first key of the object, or nil if there is none.
func (s *scanner) firstKey() []byte {
	if !s.consume('{') {
		s.failed = true
		return nil
	}
	if s.consume('}') {
		s.closed = true
		return nil
	}
	return s.key()
}

// nextKey returns the key that follows a value, or nil if there is none.
func (s *scanner) nextKey() []byte {
	switch {
	case s.failed:
		return nil
	case s.consume('}'):
		s.closed = true
		return nil
	case s.consume(','):
		return s.key()
	default:
		s.failed = true
		return nil
	}
}

func (s *scanner) key() []byte {
	key := s.string()
	if s.failed || !s.consume(':') {
		s.failed = true
		return nil
	}
	return key
}

// string returns the content of a string without escapes.
func (s *scanner) string() []byte {
	if s.failed || !s.consume('"') {
		s.failed = true
		return nil
	}
	for from := s.pos; s.pos < len(s.text); s.pos++ {
		switch c := s.text[s.pos]; {
		case c == '"':
			s.pos++
			return s.text[from : s.pos-1 : s.pos-1]
		case c == '\\' || c < 0x20:
			s.failed = true
			return nil
		}
	}
	s.failed = true
	return nil
}

// number returns a number in the form that JSON allows (RFC 8259 §6), which is
// narrower than what strconv accepts.
func (s *scanner) number() float64 {
	s.skipSpace()
	from := s.pos
	s.skipSign("-")
	if s.pos < len(s.text) && s.text[s.pos] == '0' {
		s.pos++
	} else {
		s.skipDigits()
	}
	if s.pos < len(s.text) && s.text[s.pos] == '.' {
		s.pos++
		s.skipDigits()
	}
	if s.pos < len(s.text) && s.text[s.pos]|0x20 == 'e' {
		s.pos++
		s.skipSign("+-")
		s.skipDigits()
	}
	if s.failed {
		return 0
	}
	f, err := strconv.ParseFloat(string(s.text[from:s.pos]), 64)
	s.failed = err != nil
	return f
}

// integer returns a whole number of up to 15 digits without a sign.
func (s *scanner) integer() (n int64) {
	s.skipSpace()
	from := s.pos
	s.skipDigits()
	if digits := s.text[from:s.pos]; !s.failed && len(digits) <= 15 && digits[0] != '0' {
		for _, c := range digits {
			n = n*10 + int64(c-'0')
		}
		return n
	}
	s.failed = true
	return 0
}

func (s *scanner) skipSign(signs string) {
	for i := range len(signs) {
		if s.pos < len(s.text) && s.text[s.pos] == signs[i] {
			s.pos++
			return
		}
	}
}

func (s *scanner) skipDigits() {
	from := s.pos
	for s.pos < len(s.text) && s.text[s.pos] >= '0' && s.text[s.pos] <= '9' {
		s.pos++
	}
	s.failed = s.failed || s.pos == from
}
