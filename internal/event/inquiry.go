package event

import (
	"encoding/binary"
	"encoding/json"
)

// This file has the events by which operators look into the fleet, see package inspect.

// An Inquiry asks every replica for something, or tells it to do something.
type Inquiry struct {
	ID        uint64          `json:"id"` // random; of a trace: what its lines are sent under
	What      string          `json:"what"`
	By        string          `json:"by"` // who asks, for the log
	Arguments json.RawMessage `json:"arguments,omitempty"`
}

// Kind implements [Body].
func (Inquiry) Kind() Kind { return KindInquiry }

// AppendTo implements [Body].
func (i Inquiry) AppendTo(dst []byte) []byte { return appendJSON(dst, i) }

// A Finding answers an inquiry. All other replicas than To drop it, unread.
type Finding struct {
	To      ProcessID // who asked
	Inquiry uint64
	Body    []byte // compressed JSON
}

// Kind implements [Body].
func (Finding) Kind() Kind { return KindFinding }

// AppendTo implements [Body].
func (f Finding) AppendTo(dst []byte) []byte {
	return append(binary.BigEndian.AppendUint64(append(dst, f.To[:]...), f.Inquiry), f.Body...)
}

// ReadFinding reads the body of a KindFinding. Body shares its memory.
func ReadFinding(body []byte) (f Finding, err error) {
	if len(body) <= len(f.To)+8 {
		return f, ErrBody
	}
	rest := body[copy(f.To[:], body):]
	f.Inquiry, f.Body = binary.BigEndian.Uint64(rest), rest[8:]
	return f, nil
}
