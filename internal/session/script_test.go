package session_test

import (
	"context"
	"sync"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/session"
)

// A script is a handler that a test tells what to do.
type script struct {
	s       *session.Session
	full    session.Limit
	receive func(frame.Message) error
	next    func() // what the writer waits for
	stalls  bool   // as a store does that does not answer
	closed  chan struct{}

	mu  sync.Mutex
	got []frame.Message
	out []frame.Message
}

func (h *script) Receive(ctx context.Context, m frame.Message) error {
	if h.stalls {
		<-ctx.Done()
		return ctx.Err()
	}
	h.mu.Lock()
	h.got = append(h.got, m)
	receive := h.receive
	h.mu.Unlock()
	if receive != nil {
		return receive(m)
	}
	return nil
}

func (h *script) Next(context.Context, bool) (frame.Message, error) {
	if h.next != nil {
		h.next()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.out) == 0 {
		return frame.Message{}, nil
	}
	m := h.out[0]
	h.out = h.out[1:]
	return m, nil
}

func (h *script) Closed() { close(h.closed) }

func (h *script) say(text ...string) {
	h.mu.Lock()
	for _, s := range text {
		h.out = append(h.out, frame.Message{Data: []byte(s)})
	}
	h.mu.Unlock()
	h.s.Wake()
}

func (h *script) received() []frame.Message {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.got
}
