package client

import (
	"cmp"
	"context"
	cryptorand "crypto/rand"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// ErrNotConnected is returned by [Session.Send] while no socket is ready.
var ErrNotConnected = errors.New("not connected")

// SessionOptions configures a session. Only Socket.URL is required, and a token on the
// endpoints of a room.
type SessionOptions struct {
	// Socket describes how to dial each socket. The session sets its Since, SinceID,
	// LastRef and LastCode. Its Token is used if TokenSource is nil.
	Socket Options
	// TokenSource returns the token for each handshake.
	TokenSource TokenSource
	// Since begins with a replay of the messages after this seq. Without it the session
	// begins with the messages after the connected frame.
	Since *int64
	// On is called for each event, in order, by the goroutine that runs the session.
	// Nothing is read while it blocks. It may send and Close, but must not wait. nil for
	// none.
	On func(Event)
	// Record is called for all that is sent and received; nil for none.
	Record Recorder
	// MaxUnacknowledged bounds the number of unacknowledged messages; a further send
	// returns ErrFull. Default: 1,000.
	MaxUnacknowledged int
	// InOrder sends each message after the acknowledgement of the one before. Without it messages
	// are sent at once: if the server refuses one temporarily and accepts the next one, the first is
	// stored after the second.
	InOrder bool
	// Rate bounds the number of messages per second, with bursts of twice as many. The
	// default of 18 stays below the server's default limit even when all unacknowledged
	// messages are sent again. A negative value disables the bound.
	Rate float64
	// MaxBackoff bounds the delay after consecutive failures. The default of 30 s spreads
	// a large number of clients.
	MaxBackoff time.Duration
	// GiveUpAfter ends the session when no socket has been ready for this long. 0 means
	// never.
	GiveUpAfter time.Duration
	// Once ends the session with its first socket or failure.
	Once bool
}

// A Session is a client of one endpoint of one room that loses no message. It delivers
// each message once, in order of seq, and sends each message until it is acknowledged.
// When the server resets it, because the database was restored or replaced, it goes on
// from the last message that the server has; see Resumed.
// Run may be called once; all other methods are safe for concurrent use before, during
// and after Run.
//
// On the location endpoint nothing is resumed, and only the newest position is kept for
// sending.
type Session struct {
	o           SessionOptions
	endpoint    Endpoint
	outbox      *outbox
	limiter     *rate.Limiter
	token       currentToken
	staticToken bool                                    // a refused token cannot be replaced
	jitter      func(limit time.Duration) time.Duration // returns a random delay from 0 to limit

	quit     chan struct{} // closed by Close
	quitOnce sync.Once
	code     int // of our Close frame; set before quit is closed
	reason   string
	done     chan struct{} // closed after err is set
	err      error

	mu        sync.Mutex
	conn      *Conn  // the socket that is ready, or nil
	highest   *int64 // the last seq delivered, or the one that the stream begins after
	highestID string // id of the message with that seq; empty if the session does not have it

	// The following fields belong to the goroutine that runs the session.
	failures     int       // consecutive, without a stable connection in between
	tokenRenewed bool      // after a refusal, by the last attempt that the server answered
	readyAt      time.Time // when the last socket became ready; zero if it did not
	lastReady    time.Time // when a socket was last ready
	lastRef      string
	lastCode     int
	lastErr      error // of the last attempt
}

// NewSession returns a session that begins with Run.
func NewSession(o SessionOptions) *Session {
	static := o.TokenSource == nil
	if static && o.Socket.Token != "" {
		o.TokenSource = StaticToken(o.Socket.Token)
	}
	perSecond := rate.Limit(cmp.Or(o.Rate, 18))
	if perSecond < 0 {
		perSecond = rate.Inf
	}
	return &Session{
		o:           o,
		staticToken: static,
		endpoint:    EndpointOf(o.Socket.URL),
		outbox:      newOutbox(cmp.Or(o.MaxUnacknowledged, 1000), o.InOrder),
		limiter:     rate.NewLimiter(perSecond, int(max(1, min(2*perSecond, 1<<20)))),
		jitter:      func(limit time.Duration) time.Duration { return rand.N(limit + 1) }, //nolint:gosec // jitter is no secret
		quit:        make(chan struct{}),
		code:        frame.CodeNormal,
		done:        make(chan struct{}),
		highest:     o.Since,
	}
}

// SendMessage queues a chat message. It returns the message's client_message_id, which is
// random if clientMessageID is empty. It does not block; see Await. The error is ErrFull,
// or the session's own if it has ended.
func (s *Session) SendMessage(text, clientMessageID string) (string, error) {
	id := cmp.Or(clientMessageID, NewID())
	if err := s.endError(); err != nil {
		return id, err
	}
	return id, s.outbox.add(&pending{id: id, text: text, encoded: encodeMessage(text, id)})
}

// SendPosition queues a position. It replaces one that is not yet sent.
func (s *Session) SendPosition(p room.Position) error {
	if err := s.endError(); err != nil {
		return err
	}
	s.outbox.setPosition(encodePosition(p))
	return nil
}

// Send writes a frame to the current socket at once. The frame may overtake queued
// messages, and is never sent again. Send returns ErrNotConnected if no socket is ready.
func (s *Session) Send(text []byte) error {
	if err := s.endError(); err != nil {
		return err
	}
	conn := s.currentConn()
	if conn == nil {
		return ErrNotConnected
	}
	return conn.Send(text)
}

// Await waits until at most n messages are unacknowledged. A position counts as one until
// it is sent. If the session ends before, Await returns its error.
func (s *Session) Await(ctx context.Context, n int) error {
	ok, err := s.outbox.await(ctx, n, s.done)
	if err == nil && !ok {
		return s.endError()
	}
	return err
}

// Unacknowledged returns the number of unacknowledged messages.
func (s *Session) Unacknowledged() int {
	n, _ := s.outbox.len()
	return n
}

// Highest returns the seq of the last message that was delivered, or the seq that the
// stream begins after. known is false before the first connection.
func (s *Session) Highest() (seq int64, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.highest == nil {
		return 0, false
	}
	return *s.highest, true
}

// Drop cuts the current socket without a Close frame, as a lost network would. It returns
// false if no socket is ready.
func (s *Session) Drop() bool {
	conn := s.currentConn()
	if conn != nil {
		conn.CloseNow()
	}
	return conn != nil
}

// Close ends the session with a Close frame. Run returns nil when the server has answered
// it. Close does not block and does not wait for acknowledgements; see Await. Only the
// first call has an effect.
func (s *Session) Close(code int, reason string) {
	s.quitOnce.Do(func() {
		s.code, s.reason = code, reason
		close(s.quit)
	})
}

// Done returns a channel that is closed when Run has returned.
func (s *Session) Done() <-chan struct{} { return s.done }

var errEnded = errors.New("the session has ended")

// endError returns the error that ended the session, or nil while it runs.
func (s *Session) endError() error {
	select {
	case <-s.done:
		return cmp.Or(s.err, errEnded)
	default:
		return nil
	}
}

func (s *Session) currentConn() *Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn
}

// NewID returns a random client_message_id of 26 characters.
func NewID() string { return strings.ToLower(cryptorand.Text()) }
