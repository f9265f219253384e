package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/frame"
)

const (
	// messageTimeout is the time from the first byte of a message to its last one. Pings
	// and pongs between its fragments do not extend it.
	messageTimeout = 10 * time.Second
	// freeBytes is the size up to which a message is not counted in the budget.
	freeBytes = 4 << 10
	// discardBytes is how much is read from a peer after a protocol error, so that it sees
	// the Close.
	discardBytes = 1 << 20
)

// A session is busy, and expected to receive more soon, after manyMessages messages in a row with
// less than often between two of them.
const (
	often        = 250 * time.Millisecond
	manyMessages = 8
)

// read is the session's reader. It waits for a frame, and then handles it in the same goroutine.
// That needs a deep stack, which the goroutine would keep while it waits. So it goes on itself only
// if the session is busy, and otherwise leaves the reading to a new goroutine. One that has gone on
// ends with the next control frame, such as a pong.
//
// It must do nothing else. The calls of the runtime below it just fit into the initial stack
// of 2 KiB, and so an idle socket keeps no larger one.
func (s *Session) read() {
	for grown := false; ; grown = true {
		_, err := s.reader.Peek(2)
		if !s.receive(err, grown) {
			return
		}
	}
}

// A message is a received message, and the number of its bytes that are taken from the
// account.
type message struct {
	frame.Message
	taken int
}

// receive reads a message or a control frame, and handles the message, unless another goroutine
// handles messages of this socket. It reports whether the caller is to read on. grown says that the
// goroutine has handled a message before, so its stack is large enough.
func (s *Session) receive(err error, grown bool) (readOn bool) {
	var m message
	if err == nil {
		m, err = s.readMessage()
	}
	switch {
	case err != nil:
		if s.handleReadError(err) {
			_ = s.raw.SetReadDeadline(time.Now().Add(closeWait))
			_, _ = io.Copy(io.Discard, io.LimitReader(s.raw, discardBytes)) // the peer can miss a Close if the connection is closed at once
		}
		s.finish(true)
		s.registry.running.Done()
		return false
	case m.Data == nil:
		go s.read() // takes over this goroutine's count in the WaitGroup
		return false
	default:
		return s.dispatch(m, grown)
	}
}

// readMessage reads a message up to the size limit, and the control frames before its end.
// The message has no data if there was only a control frame, or if the message is dropped
// because the session is ending.
func (s *Session) readMessage() (m message, err error) {
	limit := s.registry.options.MaxMessageBytes
	inMessage, dropped, discarded := false, false, 0
	defer func() {
		s.messageBegan.Store(0)
		if err != nil || dropped {
			s.account.Give(m.taken)
			m = message{}
		}
	}()
	for {
		h, err := s.readHeader(inMessage)
		if err != nil {
			return m, err
		}
		if h.isControl() {
			if err := s.handleControl(&h); err != nil || !inMessage {
				return m, err
			}
			continue
		}
		if !inMessage {
			inMessage, m.Binary = true, h.op == opBinary&0xf
			if !h.fin || h.size > s.reader.Buffered() {
				s.messageBegan.Store(time.Now().UnixNano())
			}
		}
		if !dropped && h.size > limit-len(m.Data) {
			s.End(tooLarge(limit))
			dropped = true
		}
		if dropped {
			if discarded += h.size; discarded > discardBytes || discarded < 0 {
				return m, tooLarge(limit)
			}
			err = s.discard(h.size)
		} else {
			dropped, err = s.readPayload(&m, &h)
		}
		if err != nil {
			return m, err
		}
		if h.fin {
			return s.fit(m), nil
		}
	}
}

func tooLarge(limit int) *frame.Close {
	return &frame.Close{Code: frame.CodeTooBig, Reason: "too_large", Detail: fmt.Sprintf("the message has more than %d bytes", limit)}
}

// readPayload appends the payload of a frame to m. The slice grows as the bytes come, so
// that a peer cannot hold memory by announcing them. The message is dropped, and the rest of
// the payload discarded, if the session ends while it waits for room in the budget.
func (s *Session) readPayload(m *message, h *header) (dropped bool, err error) {
	if m.Data == nil {
		m.Data = []byte{}
	}
	for read := 0; read < h.size; {
		have, left := len(m.Data), h.size-read
		if have == cap(m.Data) && !s.grow(m, left, h.fin) {
			return true, s.discard(left)
		}
		n := min(left, cap(m.Data)-have)
		m.Data = m.Data[:have+n]
		if _, err := io.ReadFull(s.reader, m.Data[have:]); err != nil {
			return false, err
		}
		h.unmask(m.Data[have:], read)
		read += n
	}
	return false, nil
}

// grow makes room in m. left is the size of the rest of the frame, and last says that the
// message ends with it. Beyond freeBytes, grow waits for room in the budget until the session
// ends, which the message timeout sees to. Then it returns false.
func (s *Session) grow(m *message, left int, last bool) bool {
	have := cap(m.Data)
	size := max(2*have, min(freeBytes, left))
	if last {
		size = min(size, have+left) // then the slice has the exact size
	}
	if n := size - m.taken; size > freeBytes {
		if !s.waitForRoom(n) {
			return false
		}
		m.taken = size
	}
	m.Data = append(make([]byte, 0, size), m.Data...)
	return true
}

// fit cuts the slice of a message that came in fragments to its exact size, because handlers
// keep parts of it.
func (s *Session) fit(m message) message {
	if cap(m.Data) > len(m.Data) {
		m.Data = append(make([]byte, 0, len(m.Data)), m.Data...)
	}
	if m.taken > len(m.Data) {
		s.account.Give(m.taken - len(m.Data))
		m.taken = len(m.Data)
	}
	return m
}

// noRoom is the close for a peer whose message has found no room in the budget in time.
var noRoom = &frame.Close{
	Code: frame.CodeTryLater, Reason: "over_budget", After: time.Second,
	Detail: "the replica is short of memory for the message",
}

// waitForRoom takes n bytes from the account, and waits until it has room. It returns false if
// the session ends. Meanwhile no pong can be read.
func (s *Session) waitForRoom(n int) bool {
	if s.account.Take(n) {
		return true
	}
	s.setStarved(true)
	defer s.setStarved(false)
	for wait := minPause; s.ending() == nil; wait = min(2*wait, maxPause) {
		s.pause(wait)
		if s.account.Take(n) {
			return true
		}
	}
	return false
}

func (s *Session) setStarved(starved bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starved = starved
	s.restartPongTimeoutLocked()
}

// handleReadError ends the session after a failed read: by the peer's Close, by a lost
// connection, or by a protocol error. It reports whether the peer's Close is still to come.
func (s *Session) handleReadError(err error) bool {
	if ce, ok := errors.AsType[*websocket.CloseError](err); ok {
		s.end(closeReply(ce), "client")
		return false
	}
	if c, ok := errors.AsType[*frame.Close](err); ok {
		s.End(c)
		return true
	}
	if isNetwork(err) {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("the connection ended without a Close frame: %w", err)
		}
		s.cut("network", err)
		return false
	}
	s.End(&frame.Close{Code: frame.CodeProtocol, Reason: "protocol_error", Detail: err.Error()})
	return true
}

// closeReply returns the Close that answers the peer's: 1000 bye for a normal closure, else
// the peer's own code. It drops the peer's reason, which can be any text and must not be
// logged.
func closeReply(ce *websocket.CloseError) *frame.Close {
	if ce.Text != "" {
		ce = &websocket.CloseError{Code: ce.Code, Text: fmt.Sprintf("a reason of %d bytes", len(ce.Text))}
	}
	switch ce.Code {
	case websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseNoStatusReceived:
		return &frame.Close{Code: frame.CodeNormal, Reason: "bye", Cause: ce}
	default:
		return &frame.Close{Code: ce.Code, Cause: ce}
	}
}

func isNetwork(err error) bool {
	_, isNet := errors.AsType[net.Error](err)
	return isNet || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.Canceled)
}
