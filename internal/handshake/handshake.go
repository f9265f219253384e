// Package handshake brings a socket from the HTTP request to the room: upgrade,
// authenticate, authorize, join. The steps are a list, run by one loop that tells
// the story; every refusal goes through one function.
package handshake

import (
	"github.com/roomspa/roomspa/internal/cause"

	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/listen"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/problem"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/session"
	"github.com/roomspa/roomspa/internal/story"
)

// The time limits of a handshake. Each step that waits has its own, so that the
// cause can be told while the client is still there.
const (
	wholeLimit = 10 * time.Second // all steps together
	turnLimit  = 2 * time.Second  // waiting for a turn among the others
	joinLimit  = 3 * time.Second  // a confirmed SUBSCRIBE
)

// linesPerSecond is how many handshakes a second are logged whatever comes of them;
// of those above it, only the refused ones.
const linesPerSecond = 100

// ReplicaHeader names the replica on every 101, as the greeting of /ws/test/ does:
// who looks for a fault learns whether it is one replica's.
const ReplicaHeader = "Roomspa-Replica"

// Options are the handshake's settings.
type Options struct {
	Replica        string
	Origins        []string       // beside the own host
	TrustedProxies []netip.Prefix // their X-Forwarded-For is used
	MaxHandshakes  int            // at work at once
	LogMask        bool
	Tickets        Tickets // nil knows none
	Stories        Stories // nil keeps none
}

// Stories keeps how handshakes went. No method blocks, and no story changes after it
// was given away.
type Stories interface {
	Failed(s *story.Story)
	Accepted(s *story.Story)
	// Returned joins a connection to the one before it, of the same client, and returns
	// what this replica itself knows of that; nil for nothing.
	Returned(s *story.Story) *story.Story
}

// Users finds users by id; one that does not exist is missing in the map.
type Users interface {
	Users(ctx context.Context, ids []room.UserID) (map[room.UserID]*room.User, error)
}

// Tokens verifies access tokens. Its errors are *auth.Refusal.
type Tokens interface {
	Verify(token string, now time.Time) (auth.Claims, error)
}

// Tickets knows what a ticket stands for.
type Tickets interface {
	// Redeem returns whose token the ticket stands for, when that was issued and when
	// it ends, and forgets the ticket. One that is not known is [room.ErrNotFound].
	Redeem(ctx context.Context, ticket string) (user room.UserID, issued, expires time.Time, err error)
}

// A Peer is who connects, and to what: all that a consumer needs to know.
type Peer struct {
	User    *room.User
	Room    room.Room
	Since   *int64 // the client's highest seq, nil where it did not say
	Session *session.Session
}

// A Consumer is an endpoint's side of one socket.
type Consumer interface {
	session.Handler
	// Join takes part in the room's group; it returns when Redis has confirmed it.
	Join(ctx context.Context) error
	// Open loads what the first frames need, and queues them.
	Open(ctx context.Context) error
}

// An Endpoint is /ws/chat/ or /ws/location/.
type Endpoint struct {
	Name      string // as in the path, the metrics and the group: chat
	Component string // as in the log: ChatConsumer
	New       func(Peer) Consumer
}

// A Server answers the WebSocket paths. Make one with [New].
type Server struct {
	options   Options
	sockets   *session.Registry
	tokens    Tokens
	users     Users
	endpoints map[string]Endpoint
	log       *slog.Logger
	metrics   *metrics
	turns     chan struct{}
	lines     *rate.Limiter   // of good handshakes that are logged line by line
	ctx       context.Context // what the steps work under; a request's own dies with its handler
}

// New returns the server of the WebSocket paths. The steps work under ctx.
func New(ctx context.Context, o Options, sockets *session.Registry, tokens Tokens, users Users, endpoints []Endpoint, log *slog.Logger, reg prometheus.Registerer) *Server {
	s := &Server{
		options: o, sockets: sockets, tokens: tokens, users: users, endpoints: map[string]Endpoint{},
		log: log, metrics: newMetrics(reg), turns: make(chan struct{}, o.MaxHandshakes), ctx: ctx,
		lines: rate.NewLimiter(linesPerSecond, linesPerSecond),
	}
	for _, e := range endpoints {
		s.endpoints[e.Name] = e
	}
	return s
}

// An attempt is one handshake under way.
type attempt struct {
	server   *Server
	request  *http.Request
	query    url.Values
	log      *logging.Conn
	tale     *story.Story
	endpoint Endpoint
	ids      []string

	token    string
	ticket   string
	claims   auth.Claims
	known    map[room.UserID]*room.User
	peer     Peer
	consumer Consumer
}

// ServeHTTP answers a handshake. It returns when the session runs or is refused;
// no goroutine of net/http stays with the socket.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	log := logging.Conn{Log: s.log, Ref: story.NewRef(), Remote: listen.ClientAddr(r, s.options.TrustedProxies), Mask: s.options.LogMask}
	tale := story.Begin(log.Ref)
	began := tale.Began
	w.Header().Set(problem.Header, log.Ref)
	path := r.URL.EscapedPath()
	name, ids, known := split(path)
	tale.Endpoint, tale.Path, tale.Remote = name, logging.Path(path), log.Remote
	p := s.mayUpgrade(r)
	switch {
	case !known:
		p = &problem.Problem{Status: http.StatusNotFound, Code: "no_such_path", Title: "No such path", Detail: "There is no WebSocket here.", More: map[string]any{"paths": Paths}}
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		p = &problem.Problem{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Title: "Method not allowed", Detail: "A WebSocket handshake is a GET (RFC 6455 §4.1)."}
	}
	if p != nil {
		s.refuseHTTP(w, &log, tale, p)
		return
	}
	e, isRoom := s.endpoints[name]
	if !isRoom {
		e = Endpoint{Name: name, Component: "TestConsumer"}
	}
	slot, full := s.sockets.Reserve(e.Name, e.Component)
	if slot == nil {
		s.refuseHTTP(w, &log, tale, noRoom(full))
		return
	}
	header := http.Header{problem.Header: {log.Ref}, ReplicaHeader: {s.options.Replica}}
	socket, err := slot.Upgrade(w, r, log, header)
	if err != nil {
		log.Warn("Handshake", "Upgrade failed: "+err.Error(), slog.String("path", tale.Path))
		s.metrics.count(e.Name, "error", "upgrade_failed", began)
		tale.Refuse(story.Failed, 0, "upgrade_failed", "", err.Error())
		s.failed(tale)
		return
	}
	a := &attempt{server: s, request: r, query: auth.Query(r.URL.RawQuery), log: socket.Log(), tale: tale, endpoint: e, ids: ids, peer: Peer{Session: socket}}
	if !s.lines.Allow() {
		a.log.Hold()
	}
	if !isRoom {
		s.test(a, slot.Full, began)
		return
	}
	s.open(a, slot.Full, began)
}

// open runs the steps of a room's endpoint, and starts the session.
func (s *Server) open(a *attempt, full session.Full, began time.Time) {
	ctx, cancel := context.WithTimeout(s.ctx, wholeLimit)
	defer cancel()
	a.logRequest()
	err := s.turn(ctx, full)
	if err == nil {
		err = a.run(ctx)
		<-s.turns
	}
	socket := a.peer.Session
	if err != nil {
		s.refuse(a, err, began)
		if a.consumer != nil {
			socket.Start(a.consumer) // it ends at once; the consumer gives back what it holds
		} else {
			socket.Start(nil)
		}
		return
	}
	s.accepted(a, began)
	socket.Start(a.consumer)
}

// accepted counts a good handshake, and forgets its lines where there are too many
// of them.
func (s *Server) accepted(a *attempt, began time.Time) {
	s.metrics.count(a.endpoint.Name, "accepted", "", began)
	if s.options.Stories != nil {
		a.tale.Outcome = story.Accepted
		s.options.Stories.Accepted(a.tale)
	}
	if a.log.Drop() {
		s.metrics.unlogged.Inc()
	}
}

// turn waits until the handshake may go to work. A wave of them must neither take
// the stores from the sockets that are open nor wait unseen for ever.
func (s *Server) turn(ctx context.Context, full session.Full) error {
	if full != "" {
		return busy(full)
	}
	ctx, cancel := context.WithTimeout(ctx, turnLimit)
	defer cancel()
	select {
	case s.turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		return busy(session.FullOfSockets)
	}
}

// busy asks a client to come back, each one at a time of its own.
func busy(why session.Full) *frame.Close {
	return &frame.Close{
		Code: frame.CodeTryLater, Reason: "busy", Detail: string(why) + "; come back later",
		After: time.Second + rand.N(4*time.Second),
	}
}

// refuse is the one place where an error becomes a log line, a metric, a frame
// and a close code.
func (s *Server) refuse(a *attempt, err error, began time.Time) {
	step := a.tale.Last()
	r, ok := errors.AsType[*rejection](err)
	if !ok {
		r = &rejection{component: a.endpoint.Component, line: "Connection rejected - " + err.Error()}
		if r.close, ok = errors.AsType[*frame.Close](err); !ok {
			r.close = &frame.Close{Code: frame.CodeInternal, Reason: "internal", Cause: err}
		}
	}
	attrs := []slog.Attr{
		slog.Int("code", r.close.Code), slog.String("reason", r.close.Reason),
		slog.String("step", step.Name), slog.Duration("took", step.Took.Round(time.Microsecond)),
	}
	outcome, line := story.Refused, a.log.Warn
	if r.close.Code == frame.CodeInternal {
		outcome, line = story.Failed, a.log.Error
	}
	if cause := cause.Of(err); cause != "" {
		r.cause = cause
		attrs = append(attrs, slog.String("cause", cause))
	}
	a.log.Release()
	line(r.component, r.line, attrs...)
	if r.component == middleware { // the consumer's lines end every story
		a.logAttempt()
		if r.close.Code == frame.CodeIdentity {
			line(a.endpoint.Component, "Connection rejected - user not authenticated", attrs...)
		}
	}
	s.metrics.count(a.endpoint.Name, outcome, r.close.Reason, began)
	a.tale.Refuse(outcome, r.close.Code, r.close.Reason, r.cause, r.detail())
	s.failed(a.tale)
	a.peer.Session.Refuse(r.close)
}

// failed gives away the story of a handshake that failed.
func (s *Server) failed(tale *story.Story) {
	if s.options.Stories != nil {
		s.options.Stories.Failed(tale)
	}
}

// refuseHTTP refuses before the upgrade.
func (s *Server) refuseHTTP(w http.ResponseWriter, log *logging.Conn, tale *story.Story, p *problem.Problem) {
	p.Ref = log.Ref
	switch p.Status {
	case http.StatusUpgradeRequired: // RFC 9110 §15.5.22, RFC 6455 §4.4
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Sec-WebSocket-Version", "13")
	case http.StatusServiceUnavailable:
		p.RetryAfter = time.Second + rand.N(4*time.Second)
	}
	log.Warn("Handshake", "Refused before the upgrade: "+strconv.Itoa(p.Status)+" "+p.Code,
		slog.String("path", tale.Path), slog.String("detail", p.Detail))
	s.metrics.count(cmp.Or(tale.Endpoint, "none"), "refused", "http_"+strconv.Itoa(p.Status), time.Now())
	tale.Status = p.Status
	tale.Refuse(story.Refused, 0, p.Code, "", p.Detail)
	s.failed(tale)
	p.Write(w)
}
