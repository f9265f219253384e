package endpoint

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// A Base is the part of a consumer that does not depend on the endpoint. It queues
// the frames that the server sends to this socket alone, in a bounded outbox, and
// answers the frames that mean the same everywhere. Consumers embed one. Make it
// with [NewBase].
type Base struct {
	Socket Socket
	// Mu guards the outbox. A consumer may guard its own fields with it too, so that
	// the writer takes one lock for each frame.
	Mu sync.Mutex

	component string
	limit     int
	out       frame.Outbox
	taken     int  // bytes of out that are taken from the socket's account
	short     bool // the account had no room since out was last empty
}

const (
	// freeBytes is the size up to which an outbox is not counted in the budget, and
	// budgetStep that by which it takes more.
	freeBytes, budgetStep = 4 << 10, 4 << 10
)

// NewBase returns the base of a socket's consumer. The outbox holds up to limit
// bytes; a client that leaves more unread is closed as a slow consumer.
func NewBase(s Socket, component string, limit int) Base {
	return Base{Socket: s, component: component, limit: limit}
}

// Decode decodes a received frame. err ends the session: the frame is binary or not
// UTF-8. bad refuses the frame: it is malformed. With bad, the returned frame holds what
// could be decoded.
func Decode[T any](m frame.Message, decode func(text []byte) (T, error)) (in T, bad *room.Invalid, err error) {
	if m.Binary {
		return in, nil, &frame.Close{Code: frame.CodeUnsupported, Reason: "text_only", Detail: "frames are JSON text"}
	}
	in, err = decode(m.Data)
	if err == nil {
		return in, nil, nil
	}
	if c, ok := errors.AsType[*frame.Close](err); ok {
		return in, nil, c
	}
	bad, _ = errors.AsType[*room.Invalid](err)
	return in, bad, nil
}

// Control handles a ping or auth frame. It returns false for any other type.
func (b *Base) Control(frameType, token, clientMessageID string) (handled bool, err error) {
	switch frameType {
	case frame.TypePing:
		return true, b.Answer(frame.Pong)
	case frame.TypeAuth:
		if bad, ok := errors.AsType[*room.Invalid](b.Socket.Renew(token)); ok {
			return true, b.Refuse(bad, clientMessageID)
		}
		return true, nil
	}
	return false, nil
}

// LogRefused logs that a malformed frame is refused.
func (b *Base) LogRefused(bad *room.Invalid) {
	b.Socket.Log().Warn(b.component, "Frame refused: "+bad.Code, slog.String("field", bad.Field))
}

// Refuse answers a frame with an error frame. The socket stays open.
func (b *Base) Refuse(bad *room.Invalid, clientMessageID string) error {
	return b.Answer(frame.Encode(frame.Error{
		Type: frame.TypeError, Code: bad.Code, Detail: bad.Detail, Field: bad.Field,
		Ref: b.Socket.Log().Ref, ClientMessageID: clientMessageID,
	}))
}

// Answer queues a text frame and wakes the writer. It returns the close of a slow
// consumer if the outbox is full.
func (b *Base) Answer(text []byte) error { return b.Send(frame.Message{Data: text}) }

// Send is Answer for a message of either kind.
func (b *Base) Send(m frame.Message) error {
	b.Mu.Lock()
	err := b.QueueLocked(m)
	b.Mu.Unlock()
	if err == nil {
		b.Socket.Wake()
	}
	return err
}

// QueueLocked is Send without waking the writer, for callers that hold Mu. An empty
// outbox takes any message.
func (b *Base) QueueLocked(m frame.Message) error {
	if b.out.Add(m, b.limit) != nil {
		return SlowConsumer("the client sends frames but does not read the answers")
	}
	n := b.out.Bytes() - freeBytes - b.taken
	if n <= 0 {
		return nil
	}
	n = (n + budgetStep - 1) / budgetStep * budgetStep
	if b.Socket.Account().Take(n) {
		b.taken += n
		return nil
	}
	b.short = true
	if b.out.Bytes() <= 2*freeBytes {
		return nil // Ready holds further messages back
	}
	return OverBudget("the client does not read the answers, and the replica is short of memory for them")
}

// Behind returns the number of messages that wait for the client.
func (b *Base) Behind() int64 {
	b.Mu.Lock()
	defer b.Mu.Unlock()
	return int64(b.out.Len())
}

// Ready reports whether the client has taken enough of the answers for another message to be
// handled. See session.Pacer.
func (b *Base) Ready() bool { return b.ReadyBelow(b.limit / 2) }

// ReadyBelow is Ready for an outbox that holds fewer than so many bytes.
func (b *Base) ReadyBelow(bytes int) bool {
	b.Mu.Lock()
	defer b.Mu.Unlock()
	return b.out.Bytes() < bytes && !b.short
}

// TakeLocked returns the oldest message of the outbox, or one without data. The
// caller holds Mu.
func (b *Base) TakeLocked() frame.Message {
	m := b.out.Take()
	if b.short || b.taken > 0 {
		b.giveLocked()
	}
	return m
}

func (b *Base) giveLocked() {
	if b.out.Bytes() == 0 {
		b.Socket.Account().Give(b.taken)
		b.taken, b.short = 0, false
	}
}

// SlowConsumer returns the close for a client that reads too slowly.
func SlowConsumer(detail string) *frame.Close {
	return &frame.Close{Code: frame.CodeTryLater, Reason: "slow_consumer", Detail: detail, After: time.Second}
}

// OverBudget returns the close for a client for which the budget has no room.
func OverBudget(detail string) *frame.Close {
	return &frame.Close{Code: frame.CodeTryLater, Reason: "over_budget", Detail: detail, After: time.Second}
}
