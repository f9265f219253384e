package frame

import (
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/roomspa/roomspa/internal/room"
)

// Nearly every frame that comes is plain: one flat object of keys that we know,
// written as we write them, and of strings without escapes. Those are read here,
// at a fraction of what encoding/json takes in time and in stack, which a fresh
// goroutine has to grow for it. Whatever is not plain, or not good, is left to
// encoding/json, which decides: a fuzz test holds the two to one answer.

// plainClient reads a plain chat_message or ping that nothing is wrong with.
func plainClient(text []byte) (c Client, ok bool) {
	s := plain{text: text}
	c.Limit = DefaultHistoryLimit
	said := false
	for key := s.first(); key != nil; key = s.next() {
		value := s.string()
		switch string(key) {
		case "type":
			switch string(value) {
			case TypeChatMessage:
				c.Type = TypeChatMessage
			case TypePing:
				c.Type = TypePing
			default:
				return Client{}, false
			}
		case "message":
			c.Message, said = string(value), true
		case "client_message_id":
			c.ClientMessageID = string(value)
		default:
			return Client{}, false
		}
	}
	switch {
	case !s.good(), !said && c.Type != TypePing, !utf8.Valid(text):
		return Client{}, false
	case c.Type == TypePing:
		c.Message = ""
	default:
		c.Type = TypeChatMessage
	}
	return c, true
}

// plainPosition reads a plain position that nothing is wrong with.
func plainPosition(text []byte) (p room.Position, ok bool) {
	s := plain{text: text}
	none := math.NaN()
	p = room.Position{Latitude: none, Longitude: none, Accuracy: none, Heading: none, Speed: none}
	for key := s.first(); key != nil; key = s.next() {
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
			if p.RecordedAt, ok = recordedAt(string(s.string())); !ok {
				return p, false
			}
		default:
			return p, false
		}
	}
	return p, s.good() && utf8.Valid(text) && p.Validate() == nil
}

// recordedAt reads a time of RFC 3339 in the years that positions may have.
func recordedAt(text string) (time.Time, bool) {
	at, err := time.Parse(time.RFC3339, text)
	at = at.UTC() // first: an offset may lead out of the years that RFC 3339 can write
	return at, err == nil && at.Year() >= 1970 && at.Year() <= 9999
}

// plain goes through the text of a plain object. Once it has met anything else it
// returns nothing more, and good says so at the end.
type plain struct {
	text []byte
	at   int
	bad  bool
	over bool
}

// good reports whether all of the text was one plain object.
func (s *plain) good() bool {
	s.space()
	return !s.bad && s.over && s.at == len(s.text)
}

func (s *plain) space() {
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// take takes one character, after white space.
func (s *plain) take(c byte) bool {
	s.space()
	if s.at < len(s.text) && s.text[s.at] == c {
		s.at++
		return true
	}
	return false
}

// first returns the first key, nil where there is none.
func (s *plain) first() []byte {
	if !s.take('{') {
		s.bad = true
		return nil
	}
	if s.take('}') {
		s.over = true
		return nil
	}
	return s.key()
}

// next returns the key after a value, nil where there is none.
func (s *plain) next() []byte {
	switch {
	case s.bad:
		return nil
	case s.take('}'):
		s.over = true
		return nil
	case s.take(','):
		return s.key()
	default:
		s.bad = true
		return nil
	}
}

func (s *plain) key() []byte {
	key := s.string()
	if s.bad || !s.take(':') {
		s.bad = true
		return nil
	}
	return key
}

// string returns what stands between two quotes.
func (s *plain) string() []byte {
	if s.bad || !s.take('"') {
		s.bad = true
		return nil
	}
	for from := s.at; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; {
		case c == '"':
			s.at++
			return s.text[from : s.at-1 : s.at-1]
		case c == '\\' || c < 0x20:
			s.bad = true
			return nil
		}
	}
	s.bad = true
	return nil
}

// number returns a number in the form that JSON has (RFC 8259 §6), which is
// narrower than Go's.
func (s *plain) number() float64 {
	s.space()
	from := s.at
	s.sign("-")
	if s.at < len(s.text) && s.text[s.at] == '0' {
		s.at++
	} else {
		s.digits()
	}
	if s.at < len(s.text) && s.text[s.at] == '.' {
		s.at++
		s.digits()
	}
	if s.at < len(s.text) && s.text[s.at]|0x20 == 'e' {
		s.at++
		s.sign("+-")
		s.digits()
	}
	if s.bad {
		return 0
	}
	f, err := strconv.ParseFloat(string(s.text[from:s.at]), 64)
	s.bad = err != nil
	return f
}

func (s *plain) sign(of string) {
	for i := range len(of) {
		if s.at < len(s.text) && s.text[s.at] == of[i] {
			s.at++
			return
		}
	}
}

func (s *plain) digits() {
	from := s.at
	for s.at < len(s.text) && s.text[s.at] >= '0' && s.text[s.at] <= '9' {
		s.at++
	}
	s.bad = s.bad || s.at == from
}
