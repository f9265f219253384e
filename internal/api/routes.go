package api

import (
	"cmp"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/budget"
	"github.com/roomspa/roomspa/internal/console"
	failures "github.com/roomspa/roomspa/internal/failure"
	"github.com/roomspa/roomspa/internal/room"
)

// Options are the dependencies and settings of the HTTP API.
type Options struct {
	Store       Store
	Receipts    Receipts
	Keys        *auth.Keys
	Passwords   *auth.Passwords
	Revocations Revocations
	Blocks      Blocks
	Positions   Positions
	Tickets     Tickets
	Throttle    Throttle // counts across replicas; nil means that sign-ins are not limited
	Limits      LoginLimits
	Pairs       Pairs         // nil means that no client is known
	LoginWait   time.Duration // maximum wait for the verification of a password; 0 means 5 s
	AccessTTL   time.Duration // lifetime of access tokens
	RefreshTTL  time.Duration // lifetime of refresh tokens
	Origins     []string      // origins that CORS allows in addition to the own host
	SocketPaths []string      // paths of the WebSocket endpoints, for the answer to an unknown path
	Who         Who
	Failures    *failures.Log            // learns of each request; may be nil
	Proxies     Proxies                  // learns of each sign-in; may be nil
	Stories     Stories                  // of requests that failed; nil: they are not kept
	IsProxy     func(remote string) bool // whether an address of Who stands for many clients; nil means never
	Budget      *budget.Budget           // bounds the bytes that requests hold; nil means no limit
	Console     *console.Console         // nil means none
	// Classic serves the paths of the predecessor.
	Classic bool
	// AddressShare is the share of the places for requests without a valid token that one
	// client address may take once half of them are taken. 0 means no limit.
	AddressShare float64

	log *slog.Logger
}

// A Store gives access to Postgres.
type Store interface {
	Accounts
	Classic
	Conversations
	Reports
	SignIns
	Users
}

// New returns the handler of all paths that are not WebSocket endpoints. It matches raw paths with
// or without a trailing slash.
func New(o Options, log *slog.Logger, reg prometheus.Registerer) http.Handler {
	if o.IsProxy == nil {
		o.IsProxy = func(string) bool { return false }
	}
	o.log = log
	o.LoginWait = cmp.Or(o.LoginWait, 5*time.Second)
	if o.Throttle != nil {
		o.Throttle = newReplicaThrottle(o.Throttle)
	}
	users := authenticator{o.Keys, o.Store}
	login := newLogin(o, reg)
	signIn := newSignIn(o, reg)
	ticket := &ticketIssuer{o.base("Tickets", failures.Ticket), o, users}
	history := &history{o.base("History", failures.REST), o.Store, o.Receipts, users}
	unread := &unreadCounter{o.base("Unread", failures.REST), o.Store, users}
	block := &blocker{o.base("Blocks", failures.REST), users, o.Blocks, userLimit{o.Throttle, "block", blocksPerMinute}}
	locator := &locator{o.base("LocationConsumer", failures.REST), users, o.Positions, userLimit{o.Throttle, "location", positionsPerMinute}}
	classic := &classic{o.base("ClassicChat", failures.REST), o.Store, o.Receipts, users}
	report := &reporter{o.base("Reports", failures.REST), history, o.Store, userLimit{o.Throttle, "report", reportsPerMinute}}
	preflights := base{component: "CORS", log: log, who: o.Who, stories: o.Stories}
	admission := &admission{
		isProxy: o.IsProxy,
		base:    o.base("HTTP", failures.REST), budget: o.Budget, tokens: o.Keys, share: o.AddressShare,
		addresses: map[string]int{}, users: map[room.UserID]int{}, pages: map[room.UserID]int{}, refreshes: map[room.UserID]int{},
	}
	other := cors(o.Origins, preflights, admission.admit(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
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
		case "/api/unread":
			unread.ServeHTTP(w, r)
		case "/api/reports":
			report.ServeHTTP(w, r)
		default:
			if strings.HasPrefix(path, "/api/users/") {
				block.ServeHTTP(w, r)
				return
			}
			if strings.HasPrefix(path, "/api/location/") {
				locator.ServeHTTP(w, r)
				return
			}
			if path == "/api/conversations" || strings.HasPrefix(path, "/api/conversations/") {
				history.ServeHTTP(w, r)
				return
			}
			if o.Console != nil && o.Console.Serves(path) {
				o.Console.ServeHTTP(w, r)
				return
			}
			o.notFound(w, r)
		}
	})))
	if !o.Classic {
		return other
	}
	anyOrigin := cors([]string{"*"}, preflights, admission.admit(classic))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isClassicPath(r.URL.EscapedPath()) {
			anyOrigin.ServeHTTP(w, r)
		} else {
			other.ServeHTTP(w, r)
		}
	})
}

func (o *Options) notFound(w http.ResponseWriter, r *http.Request) {
	fail := noSuchPath()
	fail.cause = "404 no_such_path"
	paths := append(slices.Clone(Paths), o.SocketPaths...)
	if o.Classic {
		paths = append(paths, ClassicPaths...)
	}
	if o.Console != nil {
		paths = append(paths, "/console/")
	}
	fail.More = map[string]any{"paths": paths}
	o.base("HTTP", failures.REST).exchange(w, r).reject(fail)
}
