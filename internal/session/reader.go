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

// A socket may exceed its message rate warningBurst times, and once more every
// warningEvery, before it is closed with 1008.
const (
	warningBurst = 40
	warningEvery = 3 * time.Second
)

// read is the session's reader. It waits for one message in a goroutine of its own:
// handling a message needs a deep stack, and a goroutine would keep it while it waits.
//
// It must do nothing else. The calls of the library and the runtime below it just fit
// into the initial stack of 2 KiB, and so an idle socket keeps no larger one.
func (s *Session) read() {
	kind, r, err := s.conn.NextReader()
	s.receive(kind, r, err)
}

// receive reads the rest of a message, handles it, and starts the next reader.
func (s *Session) receive(kind int, r io.Reader, err error) {
	var m frame.Message
	if err == nil {
		m, err = s.readMessage(kind, r)
	}
	switch {
	case err != nil:
		if s.handleReadError(err) {
			_ = s.raw.SetReadDeadline(time.Now().Add(closeWait))
			_, _ = io.Copy(io.Discard, s.raw) // the peer can miss a Close if the connection is closed at once
		}
		s.finish(true)
		s.registry.running.Done()
		return
	case s.startHandling(): // else the session is ending, and the message is dropped
		s.handle(m)
	}
	go s.read() // takes over this goroutine's count in the WaitGroup
}

// readMessage reads one message up to the size limit. gorilla's own limit is not used,
// because it sends a 1009 without our reason.
func (s *Session) readMessage(kind int, r io.Reader) (frame.Message, error) {
	limit := s.registry.options.MaxMessageBytes
	data, err := readAll(r, limit)
	if errors.Is(err, errTooLarge) {
		s.End(&frame.Close{Code: frame.CodeTooBig, Reason: "too_large", Detail: fmt.Sprintf("the message has more than %d bytes", limit)})
		return frame.Message{}, nil
	}
	return frame.Message{Data: data, Binary: kind == websocket.BinaryMessage}, err
}

var errTooLarge = errors.New("message too large")

var scratch = sync.Pool{New: func() any { b := make([]byte, 4096); return &b }}

// readAll reads a message of at most limit bytes into a slice of its exact size, because
// handlers keep parts of it.
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

// startHandling marks the session as handling a message. It returns false if the session
// is ending. Both happen under the lock, because the writer may hold the Close back until
// the message is handled.
func (s *Session) startHandling() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	alive := s.cause == nil
	s.handling.Store(alive)
	return alive
}

// handle passes a message to the handler. The pong timeout is suspended meanwhile, because
// a slow store must not look like a dead client.
func (s *Session) handle(m frame.Message) {
	s.received.Add(1)
	s.receivedBytes.Add(uint64(len(m.Data)))
	s.lastActive.Store(time.Now().UnixNano())
	s.endpoint.received.Inc()
	m.Limited = s.exceedsRate()
	defer s.finishHandling()
	defer s.recoverPanic("Receive")
	if err := s.handler.Receive(s.registry.ctx, m); err != nil {
		s.fail(err)
	}
}

func (s *Session) finishHandling() {
	s.mu.Lock()
	s.handling.Store(false)
	if s.pingSent != 0 {
		s.pingSent = time.Now().UnixNano()
	}
	ending := s.cause != nil
	s.mu.Unlock()
	if ending {
		s.Wake() // the writer may have held the Close back
	}
}

// exceedsRate reports whether the message exceeds the message rate. It ends the session
// after too many such messages.
func (s *Session) exceedsRate() bool {
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
			Detail: fmt.Sprintf("more than %g messages per second after %d warnings", o.MessageRate, warningBurst),
		})
	}
	return true
}

// fail ends the session with err if it is a *frame.Close, else with 1011.
func (s *Session) fail(err error) {
	if c, ok := errors.AsType[*frame.Close](err); ok {
		s.End(c)
		return
	}
	s.log.Error(s.endpoint.component, "Internal error: "+err.Error())
	s.End(&frame.Close{Code: frame.CodeInternal, Reason: "internal", Cause: err})
}

// recoverPanic ends the session if the handler panics. It must be deferred.
func (s *Session) recoverPanic(where string) {
	if p := recover(); p != nil {
		s.fail(fmt.Errorf("panic in %s: %v\n%s", where, p, debug.Stack()))
	}
}

// handleReadError ends the session after a failed read: by the peer's Close, by a lost
// connection, or by a protocol error. It reports whether the peer's Close is still to come.
func (s *Session) handleReadError(err error) bool {
	if ce, ok := errors.AsType[*websocket.CloseError](err); ok && ce.Code != websocket.CloseAbnormalClosure {
		s.end(closeReply(ce), "client")
		return false
	}
	if err.Error() == badGateway {
		s.end(closeReply(&websocket.CloseError{Code: 1014}), "client")
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

// badGateway is the error of the library for a Close with the code 1014, which it does not
// know. It returns protocol errors as the same type, so only the text tells them apart.
const badGateway = "websocket: bad close code 1014"

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
		websocket.IsCloseError(err, websocket.CloseAbnormalClosure) || errors.Is(err, context.Canceled)
}
