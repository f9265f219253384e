package api

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/problem"
)

// Options are what the HTTP API is made of. All of them are required.
type Options struct {
	Store       Store
	Keys        *auth.Keys
	Passwords   *auth.Passwords
	Revocations Revocations
	Tickets     Tickets
	Throttle    Throttle
	Limits      LoginLimits
	AccessTTL   time.Duration // lifetime of an access token
	RefreshTTL  time.Duration // lifetime of a refresh token
	Origins     []string      // beside the own host, for CORS
	SocketPaths []string      // of the WebSocket endpoints; a 404 lists them too
	Who         Who
}

// Store is what the API needs of Postgres.
type Store interface {
	Accounts
	Conversations
	SignIns
	Users
}

// New returns the handler of all paths that are not WebSockets. It matches raw paths,
// with or without a trailing slash, and never redirects.
func New(o Options, log *slog.Logger, reg prometheus.Registerer) http.Handler {
	users := authenticator{o.Keys, o.Store}
	login := NewLogin(LoginOptions{
		Accounts: o.Store, Passwords: o.Passwords, Keys: o.Keys, Log: log, Who: o.Who,
		Throttle: o.Throttle, Limits: o.Limits, Metrics: reg, AccessTTL: o.AccessTTL, RefreshTTL: o.RefreshTTL,
	})
	signIn := newSignIn(o, log, reg)
	ticket := &ticketIssuer{base{"Tickets", log, o.Who}, o, users}
	history := &history{base{"History", log, o.Who}, o.Store, users}
	return cors(o.Origins, o.Who, log, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.EscapedPath()
		switch strings.TrimSuffix(path, "/") {
		case "/login":
			login.ServeHTTP(w, r)
		case "/token/refresh":
			signIn.Refresh(w, r)
		case "/logout":
			signIn.Logout(w, r)
		case "/api/ticket":
			ticket.ServeHTTP(w, r)
		default:
			if path == "/api/conversations" || strings.HasPrefix(path, "/api/conversations/") {
				history.ServeHTTP(w, r)
				return
			}
			o.notFound(w, r, log)
		}
	}))
}

func (o *Options) notFound(w http.ResponseWriter, r *http.Request, log *slog.Logger) {
	ref, remote := o.Who(r)
	logging.Component(log, slog.LevelWarn, "HTTP", "Refused: 404 no_such_path", slog.String("ref", ref), slog.String("remote", remote))
	problem.Problem{
		Status: http.StatusNotFound, Code: "no_such_path", Detail: "The path does not exist.", Ref: ref,
		More: map[string]any{"paths": append(slices.Clone(Paths), o.SocketPaths...)},
	}.Write(w)
}
