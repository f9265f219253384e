package client

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrFull is returned by a send while the outbox of the session is full.
var ErrFull = errors.New("too many messages wait for their acknowledgement")

// A pending message is not yet acknowledged.
type pending struct {
	id, text string
	encoded  []byte
	sent     bool // on the current socket
}

// An outbox holds the messages of a session in order until they are acknowledged, and the
// newest position until it is sent.
type outbox struct {
	limit   int
	inOrder bool          // a message is sent after the acknowledgement of the one before
	wake    chan struct{} // holds one value while there may be something to send

	mu       sync.Mutex
	messages []*pending
	position []byte
	writing  []byte // the position that was taken and is not yet written
	pausedTo time.Time
	removed  chan struct{} // closed and replaced when something leaves the outbox
}

func newOutbox(limit int, inOrder bool) *outbox {
	return &outbox{limit: limit, inOrder: inOrder, wake: make(chan struct{}, 1), removed: make(chan struct{})}
}

func (b *outbox) add(p *pending) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.messages) >= b.limit {
		return ErrFull
	}
	b.messages = append(b.messages, p)
	b.wakeWriter()
	return nil
}

func (b *outbox) setPosition(encoded []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.position = encoded
	b.wakeWriter()
}

func (b *outbox) wakeWriter() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// resendAll marks everything as unsent, for a new socket.
func (b *outbox) resendAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.messages {
		p.sent = false
	}
	if b.position == nil {
		b.position = b.writing // its write failed, and there is no newer one
	}
	b.pausedTo, b.writing = time.Time{}, nil
	b.wakeWriter()
}

// resendLater marks one message as unsent. Nothing is sent before the delay has passed, so
// that this message and those after it keep their order.
func (b *outbox) resendLater(id string, delay time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.messages {
		if p.id == id {
			p.sent = false
		}
	}
	if until := time.Now().Add(delay); until.After(b.pausedTo) {
		b.pausedTo = until
	}
	b.wakeWriter()
}

// take returns the position or else the oldest unsent message. If nothing may be sent yet
// it returns the time to wait.
func (b *outbox) take() (p *pending, position []byte, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if wait := time.Until(b.pausedTo); wait > 0 {
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
		if b.inOrder {
			break
		}
	}
	return nil, nil, 0
}

// confirmPosition removes the position that take returned.
func (b *outbox) confirmPosition() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writing = nil
	b.notifyRemoved()
}

// remove removes a message and returns its text.
func (b *outbox) remove(id string) (text string, found bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, p := range b.messages {
		if p.id == id {
			b.messages = append(b.messages[:i], b.messages[i+1:]...)
			b.notifyRemoved()
			b.wakeWriter()
			return p.text, true
		}
	}
	return "", false
}

// inFlight returns the id of the message that waits for its acknowledgement, or "" if there is
// none or if there may be several.
func (b *outbox) inFlight() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.inOrder || len(b.messages) == 0 || !b.messages[0].sent {
		return ""
	}
	return b.messages[0].id
}

// largestSent returns the largest message that was sent on the current socket, or nil. It
// is the one that a 1009 is about.
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

func (b *outbox) notifyRemoved() {
	close(b.removed)
	b.removed = make(chan struct{})
}

// len returns the number of messages and positions, and a channel that is closed when it
// decreases.
func (b *outbox) len() (int, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.messages)
	if b.position != nil || b.writing != nil {
		n++
	}
	return n, b.removed
}

// await waits until at most n are left. It returns false if done is closed before.
func (b *outbox) await(ctx context.Context, n int, done <-chan struct{}) (bool, error) {
	for {
		left, removed := b.len()
		if left <= n {
			return true, nil
		}
		select {
		case <-removed:
		case <-done:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}
