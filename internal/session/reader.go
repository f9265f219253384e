package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/frame"
)

// Over its rate a socket is warned this often, and once more every few seconds,
// before it is closed with 1008.
const (
	warningBurst = 40
	warningEvery = 3 * time.Second
)

// read is the session's reader: it ends when the connection does. Handling a
// message needs a deep stack, waiting for the next one does not, and a stack only
// grows: so a fresh goroutine does the waiting.
//
// Nothing but the wait stands in this function. What lies below it in the library
// and the runtime just fits into the 2 KiB that a stack begins with, so that an
// idle socket has no larger one.
func (s *Session) read() {
	kind, r, err := s.conn.NextReader()
	s.incoming(kind, r, err)
}

// incoming takes the message whose beginning was read, and lets a fresh reader wait
// for the next one.
func (s *Session) incoming(kind int, r io.Reader, err error) {
	var m frame.Message
	if err == nil {
		m, err = s.readMessage(kind, r)
	}
	switch {
	case err != nil:
		if s.readFailed(err) {
			_ = s.raw.SetReadDeadline(time.Now().Add(closeWait))
			_, _ = io.Copy(io.Discard, s.raw) // a Close followed at once by a closed connection can be lost
		}
		s.leave(true)
		s.registry.running.Done()
		return
	case s.ending() == nil: // else the Close is on its way; what still comes is read past
		s.handle(m)
	}
	go s.read() // in the place of this one, which is counted
}

// readMessage reads one message of at most the limit. gorilla's own limit would
// send a 1009 without our reason, so the limit is kept here.
func (s *Session) readMessage(kind int, r io.Reader) (frame.Message, error) {
	limit := s.registry.options.MaxMessageBytes
	data, err := readAll(r, limit)
	if errors.Is(err, errTooLarge) {
		s.End(&frame.Close{Code: frame.CodeTooBig, Reason: "too_large", Detail: fmt.Sprintf("a message may have %d bytes", limit)})
		return frame.Message{}, nil
	}
	return frame.Message{Data: data, Binary: kind == websocket.BinaryMessage}, err
}

var errTooLarge = errors.New("message too large")

var scratch = sync.Pool{New: func() any { b := make([]byte, 4096); return &b }}

// readAll reads a message into a slice of its exact size: handlers keep parts of
// it, and the reader's stack keeps none of it while the socket is idle.
func readAll(r io.Reader, limit int) ([]byte, error) {
	buf, ok := scratch.Get().(*[]byte)
	if !ok {
		panic("the pool holds byte slices")
	}
	defer scratch.Put(buf)
	n := 0
	for {
		if n == len(*buf) {
			if n > limit {
				return nil, errTooLarge
			}
			*buf = append(*buf, make([]byte, n)...)
		}
		m, err := r.Read((*buf)[n:])
		n += m
		switch {
		case n > limit:
			return nil, errTooLarge
		case errors.Is(err, io.EOF):
			return append(make([]byte, 0, n), (*buf)[:n]...), nil
		case err != nil:
			return nil, err
		}
	}
}

// handle gives a message to the handler. While it is at work the pong's deadline
// does not run: a slow store must not look like a dead client.
func (s *Session) handle(m frame.Message) {
	s.received.Add(1)
	s.receivedBytes.Add(uint64(len(m.Data)))
	s.active.Store(time.Now().UnixNano())
	s.endpoint.received.Inc()
	m.Limited = s.limited()
	s.handling.Store(true)
	defer s.handled()
	defer s.recovered("Receive")
	if err := s.handler.Receive(s.registry.ctx, m); err != nil {
		s.fail(err)
	}
}

func (s *Session) handled() {
	s.mu.Lock()
	s.handling.Store(false)
	if s.pinged != 0 {
		s.pinged = time.Now().UnixNano()
	}
	ending := s.cause != nil
	s.mu.Unlock()
	if ending {
		s.Wake() // a patient close has waited for this
	}
}

// limited reports whether the message is over the socket's rate, and ends the
// session of a client that was warned too often.
func (s *Session) limited() bool {
	o := &s.registry.options
	if o.MessageRate <= 0 {
		return false
	}
	now := time.Now()
	if s.messages.allow(now, time.Duration(float64(time.Second)/o.MessageRate), o.MessageBurst) {
		return false
	}
	if !s.warnings.allow(now, warningEvery, warningBurst) {
		s.End(&frame.Close{
			Code: frame.CodePolicy, Reason: "rate_limited",
			Detail: fmt.Sprintf("more than %g frames a second, after %d warnings", o.MessageRate, warningBurst),
		})
	}
	return true
}

// fail ends the session with the close that an error is, or with 1011.
func (s *Session) fail(err error) {
	if c, ok := errors.AsType[*frame.Close](err); ok {
		s.End(c)
		return
	}
	s.log.Error(s.endpoint.component, "Internal error: "+err.Error())
	s.End(&frame.Close{Code: frame.CodeInternal, Reason: "internal", Cause: err})
}

// recovered turns a panic of the handler into a close of this one session.
func (s *Session) recovered(where string) {
	if p := recover(); p != nil {
		s.fail(fmt.Errorf("panic in %s: %v\n%s", where, p, debug.Stack()))
	}
}

// readFailed decides what the end of reading means: the peer's Close, a breach of
// the protocol, or a connection that is gone. It reports whether the peer's Close
// is still to come.
func (s *Session) readFailed(err error) bool {
	if ce, ok := errors.AsType[*websocket.CloseError](err); ok && ce.Code != websocket.CloseAbnormalClosure {
		s.end(answer(ce), "client")
		return false
	}
	if err.Error() == badGateway {
		s.end(answer(&websocket.CloseError{Code: 1014}), "client")
		return false
	}
	if isNetwork(err) {
		s.cut("network", err)
		return false
	}
	s.end(&frame.Close{
		Code: frame.CodeProtocol, Reason: "protocol_error",
		Detail: strings.TrimPrefix(err.Error(), "websocket: "),
	}, "server")
	return true
}

// badGateway is how the library takes a peer's Close with 1014: it does not know that
// code of the IANA registry, and tells it from a breach of the protocol by its text alone.
const badGateway = "websocket: bad close code 1014"

// answer returns the Close that answers the peer's: 1000 bye for a plain goodbye,
// otherwise the peer's own code. The peer's reason may be any text, and so no log
// gets to know more of it than its length.
func answer(ce *websocket.CloseError) *frame.Close {
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
		websocket.IsCloseError(err, websocket.CloseAbnormalClosure) || errors.Is(err, context.Canceled)
}
