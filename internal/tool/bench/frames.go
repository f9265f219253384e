package bench

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

// The frames are looked through for the few fields that count, not decoded: a key
// with its quotes and colon cannot stand inside of a JSON string.

// field returns what follows a key, without the quotes of a string.
func field(text []byte, key string) string {
	i := bytes.Index(text, []byte(`"`+key+`":`))
	if i < 0 {
		return ""
	}
	rest := bytes.TrimLeft(text[i+len(key)+3:], " \t")
	if len(rest) > 0 && rest[0] == '"' {
		rest = rest[1:]
		if end := bytes.IndexByte(rest, '"'); end >= 0 {
			return string(rest[:end])
		}
		return ""
	}
	if end := bytes.IndexAny(rest, ",} \t"); end >= 0 {
		return string(rest[:end])
	}
	return string(rest)
}

func typeOf(text []byte) string { return field(text, "type") }

// chatFrame is the n-th message of a sender.
func (s *sender) chatFrame(n int64) []byte {
	o := &s.group.run.o
	b := make([]byte, 0, 96+o.Size)
	b = append(b, `{"type":"chat_message","message":"`...)
	from := len(b)
	b = append(b, "load "...)
	b = strconv.AppendInt(b, n, 10)
	for len(b)-from < o.Size {
		b = append(b, '.')
	}
	b = append(b[:from+o.Size], `","client_message_id":"`...)
	b = append(b, s.group.run.id...)
	b = strconv.AppendInt(append(b, '-'), int64(s.index), 10)
	b = strconv.AppendInt(append(b, '-'), n, 10)
	return append(b, `"}`...)
}

// parseID reads a client_message_id of this run.
func (r *run) parseID(id string) (of *sender, n int64, ok bool) {
	rest, ok := strings.CutPrefix(id, r.id+"-")
	if !ok {
		return nil, 0, false
	}
	index, number, _ := strings.Cut(rest, "-")
	i, err := strconv.Atoi(index)
	n, err2 := strconv.ParseInt(number, 10, 64)
	if err != nil || err2 != nil || i < 0 || i >= len(r.senders) || n < 0 {
		return nil, 0, false
	}
	return r.senders[i], n, true
}

// positionFrame is the n-th position of a sender: its number is the latitude, in
// steps of a metre.
func positionFrame(n int64) []byte {
	b := append(make([]byte, 0, 96), `{"latitude":`...)
	b = strconv.AppendFloat(b, float64(n)/1e5, 'f', 5, 64)
	return append(b, `,"longitude":13.40495,"accuracy":8,"heading":271.5,"speed":1.4}`...)
}

// parsePosition reads the number back.
func parsePosition(text []byte) (n int64, ok bool) {
	f, err := strconv.ParseFloat(field(text, "latitude"), 64)
	return int64(math.Round(f * 1e5)), err == nil && f >= 0
}
