// Package echo is the endpoint /ws/test/: it sends every message back unchanged and
// takes no token. It shows whether a WebSocket gets through to a replica at all and,
// with ?close=, what each close code looks like to a client.
package echo

import (
	"context"
	"math"
	"net/url"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

const (
	component = "TestConsumer"
	// backlogBytes is the size of the echoes above which no further message is handled until
	// the client has taken some of them. So the session stops reading.
	backlogBytes = 64 << 10
	// pingPause is how long ?ping=off suspends pings: longer than the idle timeouts of
	// proxies, but not so long that dead connections pile up.
	pingPause = 10 * time.Minute
)

// rateLimited is the refusal of a message over the rate of the socket.
var rateLimited = &room.Invalid{Code: "rate_limited", Detail: "the message exceeds the rate limit of the socket and was ignored"}

// Endpoint returns the endpoint of a replica. The greeting contains the replica's name and, while
// the replica is not ready, the cause. notReady returns that, or ""; it does not block, and may be
// nil.
func Endpoint(replica string, notReady func() string) endpoint.Endpoint {
	return endpoint.Endpoint{
		Name: "test", Component: component, Anonymous: true,
		Query: check,
		New: func(p endpoint.Peer) endpoint.Consumer {
			c := &consumer{Base: endpoint.NewBase(p.Socket, component, math.MaxInt), replica: replica, notReady: notReady}
			c.greet, c.unpinged = p.Query.Get("greet") == "1", p.Query.Has("ping")
			c.closeCode, _ = strconv.Atoi(p.Query.Get("close"))
			return c
		},
	}
}

// check checks the query parameters.
func check(q url.Values) *frame.Close {
	n, err := strconv.Atoi(q.Get("close"))
	allowed := n >= 1000 && n <= 1003 || n >= 1007 && n <= 1014 || n >= 3000 && n <= 4999
	if q.Has("close") && (err != nil || !allowed) {
		return &frame.Close{Code: frame.CodeParameters, Reason: "bad_close_code", Detail: "close takes 1000-1003, 1007-1014 and 3000-4999"}
	}
	if q.Has("ping") && q.Get("ping") != "off" {
		return &frame.Close{Code: frame.CodeParameters, Reason: "bad_ping", Detail: "ping takes off, or is left out"}
	}
	return nil
}

// A consumer is one socket.
type consumer struct {
	endpoint.Base
	replica   string
	notReady  func() string
	greet     bool
	unpinged  bool
	closeCode int // 0 if the client asked for none
}

// Join does nothing: the endpoint has no group.
func (c *consumer) Join(context.Context) error { return nil }

// Open queues the greeting and suspends pings, if the client asked for that.
func (c *consumer) Open(context.Context) error {
	if c.unpinged {
		c.Socket.PausePings(pingPause)
	}
	if !c.greet {
		return nil
	}
	greeting := frame.Greeting{
		Type: frame.TypeGreeting, Replica: c.replica, Ref: c.Socket.Log().Ref,
		Time: time.Now().UTC().Format(frame.TimeLayout),
	}
	if c.notReady != nil {
		greeting.NotReady = c.notReady()
	}
	c.Mu.Lock()
	defer c.Mu.Unlock()
	return c.QueueLocked(frame.Message{Data: frame.Encode(greeting)})
}

// Ready reports whether the client has taken enough of its echoes. See session.Pacer.
func (c *consumer) Ready() bool { return c.ReadyBelow(backlogBytes) }

// Receive queues the message for the way back.
func (c *consumer) Receive(_ context.Context, m frame.Message) error {
	switch {
	case !m.Binary && !utf8.Valid(m.Data):
		return &frame.Close{Code: frame.CodeInvalidData, Reason: "invalid_utf8", Detail: "the text frame is not UTF-8"}
	case m.Limited:
		return c.Refuse(rateLimited, "")
	}
	return c.Send(m)
}

// Next returns the oldest message of the outbox, then the close that the client
// asked for.
func (c *consumer) Next(context.Context, bool) (frame.Message, error) {
	c.Mu.Lock()
	defer c.Mu.Unlock()
	m := c.TakeLocked()
	if m.Data == nil && c.closeCode != 0 {
		return m, requestedClose(c.closeCode)
	}
	return m, nil
}

// Closed does nothing: the consumer holds nothing.
func (c *consumer) Closed() {}

// requestedClose returns a close with the first reason that belongs to the code.
func requestedClose(code int) *frame.Close {
	c := &frame.Close{Code: code, Reason: "closed_as_asked", Detail: "you asked for close code " + strconv.Itoa(code)}
	if r := frame.Find(code, ""); r.Word != "" {
		c.Reason = r.Word
	}
	if code == frame.CodeRestart || code == frame.CodeTryLater {
		c.After = time.Second
	}
	return c
}
