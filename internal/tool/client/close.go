package client

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/frame"
)

// The codes that a client reports and nobody sends (RFC 6455 §7.1.5, §7.1.6).
const (
	CodeNoStatus = 1005 // a Close frame without a code
	CodeAbnormal = 1006 // no Close frame
)

// closeWait is how long the peer may take to answer our Close.
const closeWait = 2 * time.Second

// A CloseError is how a socket ended.
type CloseError struct {
	Code   int
	Reason string // the stable word
	Ref    string // the reason's reference, else the socket's
	// Clean tells that the peer sent a Close frame. Where it did not, Code is
	// 1006 and Err says what was seen instead.
	Clean bool
	// Detail is what the error frame before the close said to a person, Announced
	// and Word the code and word that it said would follow: where the Close frame
	// itself was lost, they are what the server meant. All empty without one.
	Detail    string
	Announced int
	Word      string
	// After is the delay that the reconnect frame before the close asked for;
	// Told says that there was such a frame.
	After time.Duration
	Told  bool
	Err   error
}

func (e *CloseError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "closed %d", e.Code)
	if e.Reason != "" {
		b.WriteString(" " + e.Reason)
	}
	if e.Ref != "" {
		b.WriteString(" (ref " + e.Ref + ")")
	}
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

func (e *CloseError) Unwrap() error { return e.Err }

// Close sends a Close frame and waits up to 2 s for the peer's, dropping the
// frames that arrive meanwhile. Where the peer answers or had closed before it
// returns nil, else the *[CloseError] that tells what came instead. How the
// socket ended is what Read returns from now on.
func (c *Conn) Close(code int, reason string) error {
	c.unwant()
	timeout := time.NewTimer(closeWait)
	defer timeout.Stop()
	if c.closeSent.CompareAndSwap(false, true) {
		// A peer that does not take it does not answer either: see below.
		_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(closeWait))
	}
	select {
	case <-c.ended:
	case <-timeout.C:
		c.cut(errors.New("the peer did not answer our Close frame"))
		<-c.ended
	}
	if c.err.Clean {
		return nil
	}
	return c.err
}

// CloseNow cuts the connection without a word, as a lost network would, and
// returns when the socket's goroutine has ended.
func (c *Conn) CloseNow() {
	c.cut(errors.New("the connection was cut by this client"))
	<-c.ended
}

// farewell is what the server said before it closed.
type farewell struct {
	detail, ref, word string
	code              int
	after             time.Duration
	told              bool
}

func (l *farewell) note(f Frame) {
	switch {
	case f.Type == frame.TypeError && f.Close != 0:
		l.detail, l.ref, l.word, l.code = f.Detail, f.Ref, f.Code, f.Close
	case f.Type == frame.TypeReconnect:
		l.after, l.told = time.Duration(f.AfterMS)*time.Millisecond, true
	}
}

// closeError says how the socket ended, from gorilla's last error and what was
// heard before it.
func (c *Conn) closeError(err error, last farewell) *CloseError {
	e := &CloseError{
		Code: CodeAbnormal, Ref: c.Ref(), Detail: last.detail, Announced: last.code, Word: last.word,
		After: last.after, Told: last.told,
	}
	if last.ref != "" {
		e.Ref = last.ref
	}
	cause := c.cutCause.Load()
	closed, ok := errors.AsType[*websocket.CloseError](err)
	switch {
	case ok && closed.Code != CodeAbnormal:
		e.Code, e.Clean = closed.Code, true
		word, ref, found := strings.Cut(closed.Text, " ref=")
		if e.Reason = word; found {
			e.Ref = ref
		}
	case cause != nil:
		e.Err = *cause
	case ok:
		e.Err = errors.New("the connection ended without a Close frame")
	default:
		e.Err = err
	}
	return e
}
