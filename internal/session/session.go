// Package session runs WebSocket connections: their reader, their writer, their pings and
// their close. It knows nothing of chat, users or stores, and is the only package of the
// server that imports gorilla/websocket.
package session

import (
	"bufio"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"unique"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/budget"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/tcp"
)

// A Handler implements an endpoint: it consumes the messages of one client and produces
// the messages for it.
type Handler interface {
	// Receive handles one message of the client. It is called for one message at a time, in
	// their order. If it takes long, the next ones are read meanwhile, and wait. If the error is a
	// *frame.Close the session ends with it, and with 1011 internal after any other error.
	Receive(ctx context.Context, m frame.Message) error
	// Next returns the next message to write, or a message without data if there is
	// none. Only the writer calls it. It may read missing messages from a store but must
	// not wait for new ones: the handler calls [Session.Wake] when there are some. Without
	// wait it must not read a store either: it returns [frame.ErrWait] instead, and is called
	// again with wait.
	Next(ctx context.Context, wait bool) (frame.Message, error)
	// Closed releases the handler's resources. It is called once, after the session has
	// ended.
	Closed()
}

// A Session is one WebSocket connection. It keeps no logger, closure or request, because
// this struct, the connection and the reader's stack are all the memory that an idle one needs.
//
// [Session.End] is the only way to end it. The writer then sends the Close as its last
// frame, and the reader waits for the peer's Close for at most two seconds.
type Session struct {
	registry *Registry
	raw      net.Conn
	tcp      *tcp.Conn     // that raw writes to; nil if raw changes the bytes, as TLS does
	reader   *bufio.Reader // of raw
	handler  Handler
	log      logging.Conn
	endpoint *endpoint
	account  budget.Account
	member   *member // nil if the session needs no token
	frames   bucket  // rate of control frames and small fragments; used by the reader only
	messages bucket  // rate of handled messages; used by work only
	warnings bucket  // rate of messages over that rate; used by work only

	lastMessage int64 // Unix nanoseconds; used by the reader only
	inARow      int   // messages up to it that followed each other within often; used by the reader only

	client       unique.Handle[string] // see [Slot.Client]
	opened       int64                 // Unix nanoseconds
	messageBegan atomic.Int64          // Unix nanoseconds; 0 if no message is being read
	handling     atomic.Bool           // the handler is in Receive, or about to be

	received, sent           atomic.Uint32 // messages
	receivedBytes, sentBytes atomic.Uint64
	lastActive               atomic.Int64 // Unix nanoseconds of the last byte in either direction

	mu          sync.Mutex
	cause       *frame.Close // nil while the session is open
	endedBy     string       // server, client or network
	writing     bool         // a writer runs
	wakePending bool         // Wake was called while the writer ran
	pingDue     bool
	pingsPaused bool    // no ping was sent since [Session.PausePings]
	counted     bool    // in member.sockets
	appCodes    bool    // see [Slot.AppCodes]; never changes
	pendingPong *string // payload of a ping that is not answered yet
	pingSent    int64   // Unix nanoseconds at which the unanswered ping was sent, 0 if there is none
	lastPing    int64
	lastPong    int64
	roundTrip   int32 // microseconds that the last ping took, 0 if unknown; up to 40 ms more behind a message
	refused     bool  // the handshake failed
	readerDone  bool
	writerDone  bool // the Close is sent, or cannot be
	finished    bool

	queue   []message // received, in order, while another message is handled
	queued  int       // bytes of queue, and of those that were superseded
	working bool      // a goroutine handles messages
	beside  bool      // another one reads meanwhile
	stopped bool      // the reader has ended, and is started again when there is room in queue
	failed  bool      // the handler has returned an error for a message
	starved bool      // the reader waits for room in the budget

	// The token of the session; user is 0 if it needs none.
	user      int64
	issued    int64 // Unix milliseconds, 0 if unknown
	expires   int64 // Unix seconds
	warnLater bool  // the client has still to be warned of the expiry
	warnDue   bool  // the warning is due now

	// What else admitted the user, see [Session.Admit].
	role string
	ids  []int64
}

// Log returns the logger of this connection.
func (s *Session) Log() *logging.Conn { return &s.log }

// Account returns what the peer of this connection holds of the replica's budget. It counts as
// anonymous until [Session.Authenticate] is called, and gives everything back when the session
// has ended.
func (s *Session) Account() *budget.Account { return &s.account }

// Start hands the session to its handler and starts its reader. It does not block. A nil
// handler is allowed if [Session.End] was called before.
func (s *Session) Start(h Handler) {
	s.mu.Lock()
	s.handler = h
	s.mu.Unlock()
	s.registry.running.Add(1)
	go s.read()
	s.Wake()
}

// Wake makes the writer call [Handler.Next] until there are no more messages. It starts a
// writer if none runs. It never blocks.
func (s *Session) Wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wakeLocked()
}

func (s *Session) wakeLocked() {
	switch {
	case s.writerDone:
	case s.writing:
		s.wakePending = true
	default:
		s.writing = true
		s.registry.running.Add(1)
		s.registry.writers.add(s)
	}
}

// End ends the session with c. It does nothing if the session is already ending. It never
// blocks.
func (s *Session) End(c *frame.Close) { s.end(c, "server") }

// Refuse is [Session.End] for a handshake that failed. It sets [End.Refused].
func (s *Session) Refuse(c *frame.Close) {
	s.mu.Lock()
	refused := s.refused
	s.refused = true
	s.mu.Unlock()
	if !refused {
		s.registry.refused.Add(1)
	}
	s.End(c)
}

func (s *Session) end(c *frame.Close, by string) {
	s.mu.Lock()
	s.setCauseLocked(c, by)
	s.wakeLocked()
	s.mu.Unlock()
}

// setCauseLocked begins the end of the session, unless it is ending already.
func (s *Session) setCauseLocked(c *frame.Close, by string) {
	if s.cause != nil {
		return
	}
	s.cause, s.endedBy = c, by
	s.uncountLocked()
}

// ending returns the close with which the session ends, or nil if it is open.
func (s *Session) ending() *frame.Close {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

// cut closes the connection without a Close frame, because none can reach the peer.
func (s *Session) cut(by string, why error) {
	s.mu.Lock()
	s.setCauseLocked(&frame.Close{Code: websocket.CloseAbnormalClosure, Reason: "abnormal", Cause: why}, by)
	s.writerDone = true
	s.mu.Unlock()
	_ = s.raw.Close() // unblocks a read and a write
}

// finish is the last call of the reader, of the writer and of whoever handles messages. The
// last of these calls releases the session.
func (s *Session) finish(reader bool) {
	s.mu.Lock()
	if reader {
		s.readerDone = true
	}
	closed := s.readerDone && s.writerDone && !s.writing
	last := closed && !s.working && !s.finished
	s.finished = s.finished || last
	s.mu.Unlock()
	if closed {
		_ = s.raw.Close()
	}
	if !last {
		return
	}
	if s.handler != nil {
		s.handler.Closed()
	}
	s.registry.remove(s)
}
