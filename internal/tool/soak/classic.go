package soak

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/tool/client"
	"github.com/roomspa/roomspa/internal/tool/judge"
)

// A classic is the session of an app of the predecessor. It has no acks, resumes nothing and sends
// nothing twice: a message whose socket ends before its own frame came back is given up.
type classic struct {
	device *device
	socket client.Options
	quit   chan struct{}
	done   chan struct{}
	once   sync.Once

	writing sync.Mutex // held so that the history has the order of the socket
	mu      sync.Mutex
	conn    *client.Conn // nil while there is none
	pending []string     // texts sent on the socket whose frame has not come back
	last    int64        // message_id of the last message of the socket; 0: none
	probed  bool         // the socket has sent a probe
}

func newClassic(d *device, o client.Options) *classic {
	o.Classic = true
	return &classic{device: d, socket: o, quit: make(chan struct{}), done: make(chan struct{})}
}

// Run opens one socket after the other until Close.
func (c *classic) Run(ctx context.Context) error {
	defer close(c.done)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-c.quit:
			cancel()
		case <-ctx.Done():
		}
	}()
	for ctx.Err() == nil {
		if conn, err := client.Dial(ctx, c.socket); err == nil {
			c.serve(ctx, conn)
		}
		pause(ctx, rand.N(maxBackoff/2))
	}
	return nil
}

// serve reads a socket until it or ctx ends.
func (c *classic) serve(ctx context.Context, conn *client.Conn) {
	d := c.device
	d.sockets.Add(1)
	d.history.Add(judge.Entry{Kind: judge.Connected, Ref: conn.Ref()})
	c.use(conn)
	d.connected.Store(true)
	for {
		f, err := conn.Read(ctx)
		if err == nil {
			c.handle(conn.Ref(), f.Raw)
			continue
		}
		d.connected.Store(false)
		_ = conn.Close(1000, "") // its error says nothing new
		c.use(nil)               // waits for a send
		end := judge.Entry{Kind: judge.Closed, Ref: conn.Ref()}
		if closed, ok := errors.AsType[*client.CloseError](err); ok {
			end.Code, end.Detail = closed.Code, closed.Reason
		}
		d.history.Add(end)
		return
	}
}

// use makes conn the current socket.
func (c *classic) use(conn *client.Conn) {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn, c.pending, c.last, c.probed = conn, nil, 0, false
}

// A classicFrame is the only frame of the predecessor's chat.
type classicFrame struct {
	Type      string `json:"type"`
	Message   string `json:"message"`
	SenderID  string `json:"sender_id"`
	MessageID string `json:"message_id"`
	Timestamp string `json:"timestamp"`
}

// handle records a frame. It is as strict as a statically typed app.
func (c *classic) handle(ref string, raw []byte) {
	var f classicFrame
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	decoded := decoder.Decode(&f)
	sender, badSender := strconv.ParseInt(f.SenderID, 10, 64)
	number, badNumber := strconv.ParseInt(f.MessageID, 10, 64)
	_, badTime := time.Parse("2006-01-02T15:04:05.000000-07:00", f.Timestamp)
	if f.Type != "message" || errors.Join(decoded, badSender, badNumber, badTime) != nil {
		c.device.history.Add(judge.Entry{Kind: judge.Foreign, Ref: ref, Detail: string(raw[:min(len(raw), 200)])})
		return
	}
	c.device.history.Add(judge.Entry{Kind: judge.Received, Ref: ref, Number: number, Sender: sender, Text: judge.Hash(f.Message)})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = number
	if i := slices.Index(c.pending, f.Message); i >= 0 && room.UserID(sender) == c.device.user {
		c.pending = slices.Delete(c.pending, i, i+1)
		c.device.acknowledged.Add(1)
	}
}

// SendMessage sends a message on the current socket. It returns an error only if it has not tried:
// the next message has another text, whether or not this one arrives.
func (c *classic) SendMessage(text, _ string) (string, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.mu.Lock()
	conn := c.conn
	switch {
	case conn == nil:
		c.mu.Unlock()
		return "", client.ErrNotConnected
	case len(c.pending) >= maxUnacknowledged:
		c.mu.Unlock()
		return "", client.ErrFull
	}
	c.pending = append(c.pending, text)
	c.mu.Unlock()
	c.device.history.Add(judge.Entry{Kind: judge.Sent, Ref: conn.Ref(), Text: judge.Hash(text)})
	encoded, err := json.Marshal(map[string]string{"message": text})
	if err != nil {
		return "", err //nolint:wrapcheck // it never happens
	}
	_ = conn.Send(encoded) // an error ends the socket
	return "", nil
}

// isIdle reports whether the socket has received everything that it will. A socket that has
// received nothing sends a probe, whose frame shows that it is joined.
func (c *classic) isIdle(last int64) bool {
	c.mu.Lock()
	received, pending, probe := c.last, len(c.pending), c.conn != nil && c.last == 0 && !c.probed
	c.probed = c.probed || probe
	c.mu.Unlock()
	if probe {
		_, _ = c.SendMessage("probe "+client.NewID(), "") // an error ends the socket
	}
	return pending == 0 && received == last
}

// Send does nothing: an app of the predecessor knows no receipts.
func (c *classic) Send([]byte) error { return client.ErrNotConnected }

// Unacknowledged returns the number of sends of the socket whose frame has not come back.
func (c *classic) Unacknowledged() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pending)
}

// Highest knows no seq.
func (c *classic) Highest() (seq int64, known bool) { return 0, false }

// Drop cuts the socket, as a lost network would.
func (c *classic) Drop() bool {
	c.mu.Lock()
	conn := c.conn
	c.mu.Unlock()
	if conn != nil {
		conn.CloseNow()
	}
	return conn != nil
}

// Close ends the session.
func (c *classic) Close(int, string) { c.once.Do(func() { close(c.quit) }) }

// Done returns a channel that is closed when Run has returned.
func (c *classic) Done() <-chan struct{} { return c.done }
