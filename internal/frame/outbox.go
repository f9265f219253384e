package frame

import "errors"

// ErrOutboxFull says that the reader of an outbox is too far behind.
var ErrOutboxFull = errors.New("outbox full")

// An Outbox holds the frames that a socket's own side made for it (answers,
// errors) until the writer takes them: first in, first out, and bounded. The
// zero value is empty and costs no memory beyond itself. It is not safe for
// concurrent use.
type Outbox struct {
	frames []Message
	bytes  int
}

// A Message is one WebSocket message. Data is nil where there is none.
type Message struct {
	Data   []byte
	Binary bool
	// Limited marks a received message that is over the socket's rate: it is to be
	// refused, not handled.
	Limited bool
}

// Add puts a message in, unless more than limit bytes would wait. One message is
// always taken, however large.
func (o *Outbox) Add(m Message, limit int) error {
	const each = 64 // the bookkeeping counts too: tiny frames must not be free
	if len(o.frames) > 0 && o.bytes+len(m.Data)+each > limit {
		return ErrOutboxFull
	}
	o.frames = append(o.frames, m)
	o.bytes += len(m.Data) + each
	return nil
}

// Take returns the oldest message, or one without data.
func (o *Outbox) Take() Message {
	if len(o.frames) == 0 {
		return Message{}
	}
	m := o.frames[0]
	o.bytes -= len(m.Data) + 64
	if len(o.frames) == 1 {
		*o = Outbox{} // an idle socket keeps nothing
	} else {
		o.frames[0] = Message{}
		o.frames = o.frames[1:]
	}
	return m
}
