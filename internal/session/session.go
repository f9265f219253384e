// Package session is one WebSocket each: its reader, its writer, its pings and
// the one way in which it ends. It knows nothing of chat, users or stores, and is
// the only package of the server that imports gorilla/websocket.
package session

import (
	"context"
	"net"
	"sync"
	"sync/atomic"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
)

// A Handler is what a socket is for: echo, chat and location implement it.
type Handler interface {
	// Receive takes one message from the client. The reader calls it, one message
	// at a time, and reads on when it returns. An error that is a *frame.Close ends
	// the session with it, any other one with 1011 internal.
	Receive(ctx context.Context, m frame.Message) error
	// Next returns what is to be written next, or a message without data where
	// there is nothing. Only the writer calls it. It may ask a store for what is
	// missing, but never waits for news: [Session.Wake] says that there are some.
	Next(ctx context.Context) (frame.Message, error)
	// Closed is called once, when the session has ended, and gives back what the
	// handler holds.
	Closed()
}

// A Session is one socket. Everything that a session costs while it is idle is
// in this struct and in the stack of its reader, so neither a logger, a closure
// nor the request is kept.
//
// It ends one way: [Session.End] is given a close; the writer sends it as the
// last thing; the reader reads on until the peer's Close, for at most two seconds.
type Session struct {
	registry *Registry
	conn     *websocket.Conn
	raw      net.Conn
	handler  Handler
	log      logging.Conn
	endpoint *endpoint
	messages bucket // of the messages it may send; the reader's own, as the next one
	warnings bucket // before it is closed for sending more

	opened   int64       // Unix nanoseconds
	handling atomic.Bool // a received message is at work: pongs go unread meanwhile

	received, sent           atomic.Uint32 // messages
	receivedBytes, sentBytes atomic.Uint64
	active                   atomic.Int64 // Unix nanoseconds of the last byte either way

	mu         sync.Mutex
	cause      *frame.Close // why it ends; nil while it lives
	by         string       // who ended it: server, client or network
	writing    bool         // a writer runs
	again      bool         // and has to look again before it ends
	pingDue    bool
	silent     bool    // it is not pinged yet, as its client has asked for
	pong       *string // payload of a ping to answer
	pinged     int64   // Unix nanoseconds of the ping that is not answered yet
	lastPing   int64
	lastPong   int64
	refused    bool // by the handshake
	readerDone bool
	writerDone bool // the Close is out, or never can be
	over       bool

	// The token that it lives by; user is 0 where it needs none.
	user    int64
	issued  int64 // Unix milliseconds, 0 if the token does not say
	expires int64 // Unix seconds
	mayWarn bool  // the client is still to be told that it ends
	warnDue bool  // and is to be told now
}

// Log returns the lines of this connection.
func (s *Session) Log() *logging.Conn { return &s.log }

// Start gives the session to its handler and starts its reader. The caller may
// return then: nothing of its stack is used any more. With a nil handler the
// session only ends, as after [Session.End] during the handshake.
func (s *Session) Start(h Handler) {
	s.mu.Lock()
	s.handler = h
	s.mu.Unlock()
	s.registry.running.Add(1)
	go s.read()
	s.Wake()
}

// Wake says that there may be something to write. It never blocks, and starts a
// writer if none runs.
func (s *Session) Wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.writerDone:
	case s.writing:
		s.again = true
	default:
		s.writing = true
		s.registry.running.Go(s.write)
	}
}

// End ends the session with c, unless it is ending already. It never blocks.
func (s *Session) End(c *frame.Close) { s.end(c, "server") }

// Refuse is End for the handshake, which tells the story itself.
func (s *Session) Refuse(c *frame.Close) {
	s.mu.Lock()
	s.refused = true
	s.mu.Unlock()
	s.End(c)
}

func (s *Session) end(c *frame.Close, by string) {
	s.mu.Lock()
	if s.cause == nil {
		s.cause, s.by = c, by
	}
	s.mu.Unlock()
	s.Wake()
}

// ending returns why the session ends, nil while it lives.
func (s *Session) ending() *frame.Close {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

// cut ends the connection without a Close, because none can reach the peer.
func (s *Session) cut(by string, why error) {
	s.mu.Lock()
	if s.cause == nil {
		s.cause, s.by = &frame.Close{Code: websocket.CloseAbnormalClosure, Reason: "abnormal", Cause: why}, by
	}
	s.writerDone = true
	s.mu.Unlock()
	_ = s.raw.Close() // ends a blocked read and a blocked write
}

// leave is called by the reader and by the writer as their last act; the later
// one of the two tidies up.
func (s *Session) leave(reader bool) {
	s.mu.Lock()
	if reader {
		s.readerDone = true
	}
	last := s.readerDone && s.writerDone && !s.writing && !s.over
	s.over = s.over || last
	s.mu.Unlock()
	if !last {
		return
	}
	_ = s.raw.Close()
	if s.handler != nil {
		s.handler.Closed()
	}
	s.registry.remove(s)
}
