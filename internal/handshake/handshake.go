// Package handshake takes a client from the HTTP request to an open socket: upgrade,
// authenticate, authorize, join. The steps are a list that one loop runs, and the
// loop writes the story of the connection. Every refusal goes through one function.
package handshake

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/failure"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/listen"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/problem"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/session"
	"github.com/roomspa/roomspa/internal/story"
)

// The timeouts of a handshake. Each step that waits has a timeout of its own, so
// that the client learns the cause while it is still connected.
const (
	totalTimeout = 10 * time.Second // of all steps together
	turnTimeout  = 2 * time.Second  // of waiting for other handshakes
	joinTimeout  = 3 * time.Second  // of a confirmed SUBSCRIBE
)

// Accepted handshakes per second that are logged in full: those of users, and those of
// anonymous endpoints, which cannot drop the lines of users. Refused handshakes and those of
// support are always logged in full.
const (
	logRate          = 100
	anonymousLogRate = 20
)

// ReplicaHeader names the replica in every 101 response, so that a fault can be
// traced to one replica.
const ReplicaHeader = "Roomspa-Replica"

// Options are the settings of a [Server].
type Options struct {
	Replica        string
	Origins        []string       // allowed beside the server's own host
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is used
	MaxHandshakes  int            // that run at the same time
	LogMask        bool           // masks personal data in the log
	Tickets        Tickets
	Stories        Stories
	Proxies        *listen.ProxyWatch // learns of the handshakes of users; may be nil
	Limits         *listen.Limits     // counts sockets, and slows down strangers, by the address of their client; nil means no limit
	Failures       *failure.Log       // learns of each handshake; may be nil
}

// Stories keeps the stories of handshakes. Its methods do not block. The server does
// not change a story after it has passed it on.
type Stories interface {
	RecordFailed(s *story.Story)
	RecordAccepted(s *story.Story)
	// LinkPrevious links a connection to the previous one of the same client, and returns
	// what this replica knows of that one, or nil.
	LinkPrevious(s *story.Story) *story.Story
}

// Users finds users by id. A user that does not exist is missing in the map.
type Users interface {
	Users(ctx context.Context, ids []room.UserID) (map[room.UserID]*room.User, error)
}

// Tokens verifies access tokens. Its errors are *auth.Refusal.
type Tokens interface {
	Verify(token string, now time.Time) (auth.Claims, error)
}

// Tickets redeems tickets, which stand for a token.
type Tickets interface {
	// Redeem returns the user of the ticket, and the times at which its token was
	// issued and expires, and deletes the ticket. The error for an unknown ticket is
	// [room.ErrNotFound].
	Redeem(ctx context.Context, ticket string) (user room.UserID, issued, expires time.Time, err error)
}

// A Server answers the WebSocket paths. Make one with [New].
type Server struct {
	options   Options
	sockets   *session.Registry
	tokens    Tokens
	users     Users
	endpoints map[string]*endpoint.Endpoint
	paths     []string
	log       *slog.Logger
	logged    *rate.Limiter // of users
	anonymous *rate.Limiter // of anonymous endpoints
	metrics   *metrics
	turns     chan struct{}   // holds one value per handshake that runs
	ctx       context.Context // of the steps; a request's own ends with its handler
}

// New returns a server of the endpoints. The steps of handshakes run under ctx.
func New(ctx context.Context, o Options, sockets *session.Registry, tokens Tokens, users Users, endpoints []endpoint.Endpoint, log *slog.Logger, reg prometheus.Registerer) *Server {
	s := &Server{
		options: o, sockets: sockets, tokens: tokens, users: users, endpoints: map[string]*endpoint.Endpoint{},
		log: log, logged: rate.NewLimiter(logRate, logRate), anonymous: rate.NewLimiter(anonymousLogRate, anonymousLogRate), metrics: newMetrics(reg),
		turns: make(chan struct{}, o.MaxHandshakes), ctx: ctx,
	}
	for _, e := range endpoints {
		s.endpoints[e.Name] = &e
		s.paths = append(s.paths, e.Path())
	}
	return s
}

// Paths returns the paths of all endpoints, for answers to a request for another
// path.
func (s *Server) Paths() []string { return s.paths }

// An attempt is one handshake in progress.
type attempt struct {
	server   *Server
	endpoint *endpoint.Endpoint
	segments []string // of the path, below the endpoint's name
	request  *http.Request
	query    url.Values
	began    time.Time
	log      *logging.Conn
	story    *story.Story
	socket   *session.Session
	full     session.Limit // why the socket is to be refused, or empty
	turn     bool          // taken from Server.turns

	token    string
	ticket   string
	claims   auth.Claims
	known    map[room.UserID]*room.User
	peer     endpoint.Peer
	consumer endpoint.Consumer
}

// ServeHTTP answers a handshake. It returns when the session runs or is refused, and
// leaves no goroutine of net/http with the socket.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	log := logging.Conn{Log: s.log, Ref: story.NewRef(), Remote: listen.ClientAddr(r, s.options.TrustedProxies), Mask: s.options.LogMask, Trace: logging.TraceID(r.Header.Get("Traceparent"))}
	st := story.Begin(log.Ref)
	began := st.Began
	s.options.Failures.Attempt(failure.Handshake)
	w.Header().Set(problem.Header, log.Ref)
	path := r.URL.EscapedPath()
	e, segments := s.match(path)
	st.Path, st.Remote, st.TraceID = logging.Path(path), log.Remote, log.Trace
	if e != nil {
		st.Endpoint = e.Name
	}
	if p := s.check(r, e != nil); p != nil {
		s.refuseHTTP(w, &log, st, p)
		return
	}
	query := auth.Query(r.URL.RawQuery)
	classic := e.Classic && isClassic(r, query)
	if s.slowDown(e, r, query, classic, log.Remote) != nil {
		return // the client has left
	}
	slot, full := s.sockets.Reserve(session.Kind{Endpoint: e.Name, Component: e.Component, Anonymous: e.Anonymous, Classic: classic})
	if slot == nil {
		s.refuseHTTP(w, &log, st, unavailable(full))
		return
	}
	if !s.options.Limits.OpenSocket(log.Remote) { // the registry's OnEnd closes it
		slot.Release()
		s.refuseHTTP(w, &log, st, unavailable(addressLimit))
		return
	}
	slot.AppCodes = query.Get("close_codes") == frame.AppCloseCodes
	slot.Client = clientName(r.UserAgent())
	header := http.Header{problem.Header: {log.Ref}, ReplicaHeader: {s.options.Replica}}
	if protocol := auth.AcceptProtocol(r); protocol != "" {
		header.Set("Sec-Websocket-Protocol", protocol)
	}
	socket, err := slot.Upgrade(w, r, log, header)
	if err != nil {
		s.options.Limits.CloseSocket(log.Remote)
		if log.AllowStranger("upgrade_failed") {
			log.Warn("Handshake", "Upgrade failed: "+err.Error(), slog.String("path", st.Path))
		}
		s.metrics.count(e.Name, "error", "upgrade_failed", began, &log)
		s.options.Failures.Refused(failure.Handshake, "upgrade_failed") // the client has gone, or sent data too early
		st.Refuse(story.Failed, 0, "upgrade_failed", "", err.Error())
		s.options.Stories.RecordFailed(st)
		return
	}
	a := &attempt{
		server: s, endpoint: e, segments: segments, request: r, query: query, began: began,
		log: socket.Log(), story: st, socket: socket, full: slot.Exceeded, peer: endpoint.Peer{Socket: socket, Classic: classic},
	}
	if !e.Anonymous || !s.anonymous.Allow() {
		a.log.Hold() // until the user is known: strangers must not fill the log
	}
	a.open()
}

// open runs the steps and starts the session. The session of a refused attempt ends
// at once, and then its consumer releases what it holds.
func (a *attempt) open() {
	ctx, cancel := context.WithTimeout(a.server.ctx, totalTimeout)
	defer cancel()
	err := a.run(ctx)
	if a.turn {
		<-a.server.turns
	}
	if err != nil {
		a.refuse(err)
	} else {
		a.accepted()
	}
	a.socket.Start(a.consumer) // nil if the attempt was refused before it had one
}

// accepted records a handshake that succeeded. It drops the log lines of one over
// the rate, and of an anonymous one also the line of its end.
func (a *attempt) accepted() {
	s := a.server
	a.log.Note(a.endpoint.Component, "Handshake accepted", slog.Duration("took", time.Since(a.began)))
	s.metrics.count(a.endpoint.Name, "accepted", "", a.began, a.log)
	a.story.Outcome = story.Accepted
	if u := a.peer.User; u != nil && s.options.Proxies != nil {
		s.options.Proxies.Add(a.request, int64(u.ID), time.Now())
	}
	s.options.Stories.RecordAccepted(a.story)
	if a.log.Drop() {
		s.metrics.unlogged.Inc()
		if a.endpoint.Anonymous {
			a.log.Mute()
		}
	}
}
