package client

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/frame"
)

// Codes that a client reports but that are never sent (RFC 6455 §7.1.5, §7.1.6).
const (
	CodeNoStatus = 1005 // a Close frame without a code
	CodeAbnormal = 1006 // no Close frame
)

// closeTimeout is how long the peer may take to answer our Close frame.
const closeTimeout = 2 * time.Second

// A CloseError describes how a socket ended.
type CloseError struct {
	Code   int
	Reason string // the first word of the Close frame's reason
	Ref    string // from the reason, or else the socket's own
	// Clean is true if the peer sent a Close frame. Otherwise Code is 1006 and Err is
	// what was observed instead.
	Clean bool
	// Detail, AnnouncedCode and AnnouncedReason come from the error frame before the
	// Close, if there was one. They are the server's intention even where the Close frame
	// itself was lost.
	Detail          string
	AnnouncedCode   int
	AnnouncedReason string
	// ReconnectAsked is true if a reconnect frame came before the Close. ReconnectAfter
	// is the delay that it asked for.
	ReconnectAsked bool
	ReconnectAfter time.Duration
	Err            error
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

// Close sends a Close frame and waits up to 2 s for the peer's. Frames that arrive
// meanwhile are dropped. It returns nil if the peer sent a Close frame, or else the
// *[CloseError] that Read returns from now on.
func (c *Conn) Close(code int, reason string) error {
	c.stopDelivery()
	timeout := time.NewTimer(closeTimeout)
	defer timeout.Stop()
	if c.closeSent.CompareAndSwap(false, true) {
		// A peer that does not take the frame does not answer it either, which is handled below.
		_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(closeTimeout))
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

// CloseNow cuts the connection without a Close frame, as a lost network would. It
// returns when the socket's goroutine has ended.
func (c *Conn) CloseNow() {
	c.cut(errors.New("this client cut the connection"))
	<-c.ended
}

// announceClose records in e what a frame says about the Close that follows it.
func (e *CloseError) announceClose(f Frame) {
	switch {
	case f.Type == frame.TypeError && f.Close != 0:
		e.Detail, e.AnnouncedReason, e.AnnouncedCode = f.Detail, f.Code, f.Close
		if f.Ref != "" {
			e.Ref = f.Ref
		}
	case f.Type == frame.TypeReconnect:
		e.ReconnectAfter, e.ReconnectAsked = time.Duration(f.AfterMS)*time.Millisecond, true
	}
}

// finish completes e with gorilla's last error. cause is why this client cut the
// connection, nil if it did not.
func (e *CloseError) finish(err error, cause *error) {
	e.Code = CodeAbnormal
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
}
