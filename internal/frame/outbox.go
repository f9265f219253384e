package frame

import (
	"errors"

	"github.com/roomspa/roomspa/internal/room"
)

// ErrOutboxFull means that the client reads too slowly and the outbox has no room left.
var ErrOutboxFull = errors.New("outbox full")

// An Outbox is a bounded FIFO queue of the frames that are meant for one socket alone,
// such as acks and errors. The zero value is an empty queue that holds no memory. It is
// not safe for concurrent use.
type Outbox struct {
	frames []Message
	bytes  int
}

// ErrWait is the error of a handler that has to wait for a store before it has the next message.
var ErrWait = errors.New("the next message has to wait for a store")

// A Message is one WebSocket message. Data is nil if there is no message.
type Message struct {
	Data   []byte
	Binary bool
	// Limited marks a received message of a socket without a user that exceeds the message
	// rate. The handler must refuse it.
	Limited bool

	// Of a stored chat message that chat sends, and zero for every other frame: for an
	// endpoint that sends the message in another form.

	Seq    int64
	Number int64 // 0 if it is not known
	Sender room.UserID
	At     int64 // Unix microseconds
}

// overhead is added to the size of each queued message, in bytes, so that tiny frames
// count too.
const overhead = 64

// Add appends a message. It returns [ErrOutboxFull] if more than limit bytes would be
// queued. An empty queue accepts a message of any size.
func (o *Outbox) Add(m Message, limit int) error {
	if len(o.frames) > 0 && o.bytes+len(m.Data)+overhead > limit {
		return ErrOutboxFull
	}
	o.frames = append(o.frames, m)
	o.bytes += len(m.Data) + overhead
	return nil
}

// Len returns the number of messages that are queued.
func (o *Outbox) Len() int { return len(o.frames) }

// Bytes returns the number of bytes that are queued.
func (o *Outbox) Bytes() int { return o.bytes }

// Take removes and returns the oldest message. Its Data is nil if the queue is empty.
func (o *Outbox) Take() Message {
	if len(o.frames) == 0 {
		return Message{}
	}
	m := o.frames[0]
	o.bytes -= len(m.Data) + overhead
	if len(o.frames) == 1 {
		*o = Outbox{} // frees the memory of an idle socket
	} else {
		o.frames[0] = Message{}
		o.frames = o.frames[1:]
	}
	return m
}
