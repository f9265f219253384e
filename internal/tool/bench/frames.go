package bench

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// incoming holds the fields of a server's frame that bench uses. The client package
// decodes all fields, which costs too much for a load generator: it often shares its
// machine with the server.
type incoming struct {
	Type            string  `json:"type"`
	ClientMessageID string  `json:"client_message_id"`
	Seq             int64   `json:"seq"`
	UserID          int64   `json:"user_id"`
	Latitude        float64 `json:"latitude"`
	Code            string  `json:"code"`
	Reason          string  `json:"reason"`
}

// decodeFrame decodes a frame. Its Type is empty where the text is not a valid frame, and
// its Latitude negative where the frame has none.
func decodeFrame(text []byte) incoming {
	f := incoming{Latitude: -1}
	if json.Unmarshal(text, &f) != nil {
		return incoming{}
	}
	return f
}

// chatFrame returns message n of the sender.
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

// parseMessageID returns the sender and the number in a client_message_id. ok is
// false for messages that this run did not send.
func (r *run) parseMessageID(id string) (from *sender, n int64, ok bool) {
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

// positionFrame returns position n of a sender. The latitude encodes n, in steps of
// about a metre.
func positionFrame(n int64) []byte {
	b := append(make([]byte, 0, 96), `{"latitude":`...)
	b = strconv.AppendFloat(b, float64(n)/1e5, 'f', 5, 64)
	return append(b, `,"longitude":13.40495,"accuracy":8,"heading":271.5,"speed":1.4}`...)
}

// positionNumber returns the number that positionFrame encoded.
func positionNumber(latitude float64) int64 { return int64(math.Round(latitude * 1e5)) }
