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

// ErrNotConnected is what a frame that is not kept gets while no socket is ready.
var ErrNotConnected = errors.New("not connected")

// SessionOptions is what a session needs. Only Socket.URL and, on the endpoints
// of a room, a token are needed.
type SessionOptions struct {
	// Socket is how each socket is dialled. Its Since, LastRef and LastCode are
	// the session's to set; its Token is used where TokenSource is nil.
	Socket Options
	// TokenSource gives the token for each handshake.
	TokenSource TokenSource
	// Since begins with a replay of the messages after this seq. Without it the
	// session begins with what comes after connected.
	Since *int64
	// On is told what happens, in order, by the goroutine that runs the session:
	// while it blocks nothing is read. It may send and Close, not wait. nil for
	// none.
	On func(Event)
	// Record is told all that is sent and seen; nil for none.
	Record Recorder
	// MaxUnacknowledged bounds the messages that wait for their acknowledgement;
	// a send beyond it is ErrFull. 0 means 1,000.
	MaxUnacknowledged int
	// Rate bounds the messages sent in a second, with bursts of twice as many. 0
	// means 18, a little under the server's default limit, so that sending again
	// all that is unacknowledged breaks no limit. A negative value means no bound.
	Rate float64
	// MaxBackoff bounds the waits between attempts that fail. 0 means 30 s, which
	// is what spreads a multitude; a tester who cannot wait names less.
	MaxBackoff time.Duration
	// GiveUpAfter ends the session once it has had no connection for so long. 0
	// means never.
	GiveUpAfter time.Duration
	// Once ends the session with its first socket, or failure.
	Once bool
}

// A Session is the client of one endpoint of one room, and loses nothing: what
// it delivers is each message once, in order of seq, and what it was given to
// send is sent until it is acknowledged. Run it once; every other method may be
// called from any goroutine, before, while and after it runs.
//
// On the location endpoint nothing is resumed, and of the positions to send only
// the newest is kept.
//
// Sends are not held back until the one before is acknowledged. So if the server
// refuses one for a time (its database is away) while it takes the next, the
// first is stored after it: each once, but not in the order of sending.
type Session struct {
	o        SessionOptions
	endpoint Endpoint
	box      *outbox
	pace     *rate.Limiter
	token    currentToken
	static   bool                                    // there is one token, and never a fresh one
	jitter   func(limit time.Duration) time.Duration // full jitter: 0 to limit

	quit     chan struct{} // closed by Close
	quitOnce sync.Once
	code     int // of our Close frame; set before quit is closed
	reason   string
	done     chan struct{} // closed after err is set
	err      error

	mu      sync.Mutex
	live    *Conn  // the socket that is ready, or nil
	highest *int64 // the last seq delivered, or where the stream began

	// What follows is the running goroutine's own.
	failures  int       // in a row, without a stable connection between
	renewed   bool      // a refusal was already answered with a fresh token
	readyAt   time.Time // when the last socket became ready; zero if it did not
	contactAt time.Time // when there last was a ready socket
	lastRef   string
	lastCode  int
	lastErr   error // how the last attempt ended
}

// NewSession prepares a session; Run begins it.
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
		o:        o,
		static:   static,
		endpoint: EndpointOf(o.Socket.URL),
		box:      newOutbox(cmp.Or(o.MaxUnacknowledged, 1000)),
		pace:     rate.NewLimiter(perSecond, int(max(1, min(2*perSecond, 1<<20)))),
		jitter:   func(limit time.Duration) time.Duration { return rand.N(limit + 1) }, //nolint:gosec // jitter is no secret
		quit:     make(chan struct{}),
		code:     frame.CodeNormal,
		done:     make(chan struct{}),
		highest:  o.Since,
	}
}

// Endpoint returns which endpoint the session's URL names.
func (s *Session) Endpoint() Endpoint { return s.endpoint }

// SendMessage gives a chat message to the session, and returns the
// client_message_id under which it will be acknowledged: the one that was given,
// or a new random one. It does not wait; see Await. Its errors are ErrFull, and
// the session's end.
func (s *Session) SendMessage(text, clientMessageID string) (string, error) {
	id := cmp.Or(clientMessageID, NewID())
	if err := s.over(); err != nil {
		return id, err
	}
	return id, s.box.add(&pending{id: id, text: text, encoded: encodeMessage(text, id)})
}

// SendPosition gives a position to the session, in place of one that is not sent
// yet.
func (s *Session) SendPosition(p room.Position) error {
	if err := s.over(); err != nil {
		return err
	}
	s.box.setPosition(encodePosition(p))
	return nil
}

// Send writes a frame to the socket of now, at once and once: it is neither kept
// nor sent again, and may overtake messages. Without a ready socket it is
// ErrNotConnected.
func (s *Session) Send(text []byte) error {
	if err := s.over(); err != nil {
		return err
	}
	conn := s.socket()
	if conn == nil {
		return ErrNotConnected
	}
	return conn.Send(text)
}

// Await waits until at most n messages wait for their acknowledgement (a
// position counts until it is sent). It returns the session's end where that
// comes first.
func (s *Session) Await(ctx context.Context, n int) error {
	ok, err := s.box.await(ctx, n, s.done)
	if err == nil && !ok {
		return s.over()
	}
	return err
}

// Unacknowledged returns how many messages wait for their acknowledgement.
func (s *Session) Unacknowledged() int {
	n, _ := s.box.len()
	return n
}

// Highest returns the seq of the last message that was delivered, or with which
// the stream began; known is false before the first connection.
func (s *Session) Highest() (seq int64, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.highest == nil {
		return 0, false
	}
	return *s.highest, true
}

// Drop cuts the socket of now without a Close frame, as a lost network would, to
// see the session resume. It reports whether there was one.
func (s *Session) Drop() bool {
	conn := s.socket()
	if conn != nil {
		conn.CloseNow()
	}
	return conn != nil
}

// Close ends the session with a Close frame; Run returns nil once the server has
// answered it. Only the first call counts. It does not wait, neither for that
// nor for acknowledgements: see Await.
func (s *Session) Close(code int, reason string) {
	s.quitOnce.Do(func() {
		s.code, s.reason = code, reason
		close(s.quit)
	})
}

// Done is closed when Run has returned.
func (s *Session) Done() <-chan struct{} { return s.done }

var errOver = errors.New("the session is over")

// over returns why nothing can be sent any more, or nil.
func (s *Session) over() error {
	select {
	case <-s.done:
		return cmp.Or(s.err, errOver)
	default:
		return nil
	}
}

func (s *Session) socket() *Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live
}

// NewID returns a random client_message_id of 26 characters.
func NewID() string { return strings.ToLower(cryptorand.Text()) }
