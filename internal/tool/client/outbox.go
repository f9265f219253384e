package client

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrFull is what a send answers while as many messages wait for their
// acknowledgement as the session may keep.
var ErrFull = errors.New("too many messages wait for their acknowledgement")

// A pending message is not acknowledged yet.
type pending struct {
	id, text string
	encoded  []byte
	sent     bool // on the socket of now
}

// An outbox keeps what a session still has to say: messages until they are
// acknowledged, in order, and the newest position until it is sent.
type outbox struct {
	limit int
	wake  chan struct{} // holds one when there may be something to send

	mu       sync.Mutex
	messages []*pending
	position []byte
	writing  []byte // the position that was taken and is not written yet
	holdTill time.Time
	changed  chan struct{} // closed when something has left the box
}

func newOutbox(limit int) *outbox {
	return &outbox{limit: limit, wake: make(chan struct{}, 1), changed: make(chan struct{})}
}

func (b *outbox) add(p *pending) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.messages) >= b.limit {
		return ErrFull
	}
	b.messages = append(b.messages, p)
	b.rouse()
	return nil
}

func (b *outbox) setPosition(encoded []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.position = encoded
	b.rouse()
}

func (b *outbox) rouse() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// rewind marks everything as unsent, for a new socket.
func (b *outbox) rewind() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.messages {
		p.sent = false
	}
	if b.position == nil {
		b.position = b.writing // the write failed, and there is none newer
	}
	b.holdTill, b.writing = time.Time{}, nil
	b.rouse()
}

// again marks one message as unsent and lets nothing go before the delay is
// over, so that it and those after it keep their order.
func (b *outbox) again(id string, delay time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.messages {
		if p.id == id {
			p.sent = false
		}
	}
	if till := time.Now().Add(delay); till.After(b.holdTill) {
		b.holdTill = till
	}
	b.rouse()
}

// next takes the oldest message that is not sent, or the position. Where nothing
// may go yet it returns the time to wait.
func (b *outbox) next() (p *pending, position []byte, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if wait := time.Until(b.holdTill); wait > 0 {
		return nil, nil, wait
	}
	if b.position != nil {
		b.writing, b.position = b.position, nil
		return nil, b.writing, 0
	}
	for _, p := range b.messages {
		if !p.sent {
			p.sent = true
			return p, nil, 0
		}
	}
	return nil, nil, 0
}

// positionWritten tells that what next gave is on its way.
func (b *outbox) positionWritten() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writing = nil
	b.shrunk()
}

// remove takes a message out, and reports its text.
func (b *outbox) remove(id string) (text string, found bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, p := range b.messages {
		if p.id == id {
			b.messages = append(b.messages[:i], b.messages[i+1:]...)
			b.shrunk()
			return p.text, true
		}
	}
	return "", false
}

// largestSent returns the largest message that the socket of now was given, or
// nil: after a 1009, that is the one.
func (b *outbox) largestSent() *pending {
	b.mu.Lock()
	defer b.mu.Unlock()
	var largest *pending
	for _, p := range b.messages {
		if p.sent && (largest == nil || len(p.encoded) > len(largest.encoded)) {
			largest = p
		}
	}
	return largest
}

func (b *outbox) shrunk() {
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *outbox) len() (int, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.messages)
	if b.position != nil || b.writing != nil {
		n++
	}
	return n, b.changed
}

// await waits until at most n are left, or until over is closed, when it returns
// false.
func (b *outbox) await(ctx context.Context, n int, over <-chan struct{}) (bool, error) {
	for {
		left, changed := b.len()
		if left <= n {
			return true, nil
		}
		select {
		case <-changed:
		case <-over:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}
