package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/roomspa/roomspa/internal/auth"
	failures "github.com/roomspa/roomspa/internal/failure"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
)

// Accounts reads and updates credentials.
type Accounts interface {
	// Credentials returns the user with an e-mail address or phone number, and the stored
	// password hash. Its errors wrap [room.ErrNotFound] or [room.ErrUnavailable].
	Credentials(ctx context.Context, identifier string) (room.User, string, error)
	// UsersAreView reports whether another application owns the users. Then no hash is replaced.
	UsersAreView(ctx context.Context) (bool, error)
	// ReplaceHash replaces a hash, unless it has changed meanwhile.
	ReplaceHash(ctx context.Context, id room.UserID, old, new string) error
}

// A login serves POST /login/. An unknown identifier, a wrong password and an inactive account get
// the same answer after the same time, so that they do not reveal which accounts exist.
type login struct {
	base

	o         Options
	outcomes  *prometheus.CounterVec
	throttled *prometheus.CounterVec
	duration  prometheus.Histogram
}

func newLogin(o Options, reg prometheus.Registerer) *login {
	f := promauto.With(reg)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "roomspa_logins_waiting",
		Help: "Number of sign-ins waiting for the verification of their password.",
	}, func() float64 { return float64(o.Passwords.Waiting()) })
	return &login{
		base: o.base("Login", failures.SignIn), o: o,
		outcomes: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_logins_total",
			Help: "Total sign-ins, by outcome: signed_in, or the error code of the response.",
		}, []string{"outcome"}),
		throttled: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_logins_throttled_total",
			Help: "Total sign-ins refused by a rate limit, by limit (account_address, account, address, account_network, network).",
		}, []string{"limit"}),
		duration: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "roomspa_login_seconds",
			Help:    "Duration of sign-ins, including refused ones and the wait for the verification of the password.",
			Buckets: []float64{.001, .005, .02, .05, .1, .2, .5, 1, 2, 5, 10},
		}),
	}
}

func (l *login) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.serve(w, r, func(e *exchange) (any, string, *failure) {
		began := time.Now()
		answer, fail := l.signIn(e)
		outcome := "signed_in"
		if fail != nil {
			outcome = fail.Code
		}
		l.outcomes.WithLabelValues(outcome).Inc()
		l.noteProxy(e, outcome)
		l.duration.Observe(time.Since(began).Seconds())
		return answer, "Signed in: " + e.user, fail
	})
}

// Proxies finds proxies that are missing in the list of trusted ones. See listen.ProxyWatch.
type Proxies interface {
	// Add records that a user came.
	Add(r *http.Request, user int64, now time.Time)
	// AddSignIn records a sign-in, and whether the limits refused it.
	AddSignIn(r *http.Request, throttled bool, now time.Time)
}

func (l *login) noteProxy(e *exchange, outcome string) {
	if l.o.Proxies == nil {
		return
	}
	now := time.Now()
	l.o.Proxies.AddSignIn(e.r, outcome == "too_many_attempts", now)
	if outcome == "signed_in" {
		l.o.Proxies.Add(e.r, int64(e.userID), now)
	}
}

type credentials struct {
	Identifier string `json:"identifier"`
	Password   string `json:"password"`
}

// signIn runs the steps of a sign-in. The first one that fails ends it.
func (l *login) signIn(e *exchange) (*tokensJSON, *failure) {
	e.step("read the body")
	var c credentials
	if fail := readFields(e.w, e.r, &c); fail != nil {
		return nil, fail
	}
	if fail := c.validate(); fail != nil {
		return nil, fail
	}
	e.user = "identifier " + maskIdentifier(c.Identifier)
	a := l.newAttempt(e.log.Remote, c.Identifier)
	if fail := l.recognize(e, a); fail != nil {
		return nil, fail
	}
	if l.o.Passwords.Busy(a.client) { // in a flood, do not count and look up in vain
		return nil, busy(auth.ErrBusy)
	}
	if fail := l.takeAttempt(e, a); fail != nil {
		return nil, fail
	}
	user, outdated, fail := l.identify(e, c, a.client)
	if fail == nil || fail.Code == "database_unavailable" || fail.Code == "busy" {
		l.refundAttempt(e, a)
	}
	if fail != nil {
		return nil, fail
	}
	e.step("issue the tokens")
	l.remember(e, a)
	if outdated != "" {
		l.upgrade(e, user, outdated, c.Password)
	}
	now := issueTime(time.Now(), user.TokensValidAfter)
	first := auth.FirstRefresh(user.ID, now, l.o.RefreshTTL)
	return mintTokens(l.o.Keys, user, now, l.o.AccessTTL, first)
}

// maxIdentifier is the maximum length of an identifier in bytes: that of an e-mail address (RFC
// 5321 §4.5.3.1.3, without the brackets of a path).
const maxIdentifier = 254

// validate checks the form of the credentials. It refuses only identifiers that no user can have.
func (c *credentials) validate() *failure {
	c.Identifier = strings.TrimFunc(c.Identifier, func(r rune) bool { // keyboards append a space to completed words
		return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r)
	})
	switch {
	case c.Identifier == "":
		return badField("identifier", "is missing: send the e-mail address or the phone number")
	case len(c.Identifier) > maxIdentifier:
		return badField("identifier", fmt.Sprintf("has more than %d bytes", maxIdentifier))
	case strings.ContainsFunc(c.Identifier, unicode.IsControl): // Postgres cannot store NUL
		return badField("identifier", "has a control character")
	case strings.ContainsRune(c.Identifier, utf8.RuneError):
		return badField("identifier", "has the replacement character U+FFFD")
	case c.Password == "":
		return badField("password", "is missing")
	}
	return nil
}

// maskIdentifier returns a form of an identifier that is safe to log. Users sometimes type their
// password into the wrong field, so a domain is shown only if it looks like one.
func maskIdentifier(identifier string) string {
	name, domain, _ := strings.Cut(identifier, "@")
	odd := func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '.' }
	if !strings.Contains(domain, ".") || strings.ContainsFunc(domain, odd) {
		return logging.Mask(name)
	}
	return logging.Mask(identifier)
}

// identify returns the user with the credentials. outdated is the stored hash if it should be
// replaced, else "".
func (l *login) identify(e *exchange, c credentials, client auth.Client) (user room.User, outdated string, _ *failure) {
	e.step("load the user")
	user, stored, err := l.o.Store.Credentials(e.r.Context(), c.Identifier)
	if err == nil || errors.Is(err, room.ErrNotFound) {
		e.step("verify the password")
	}
	// The timeout is for the wait, not for the work.
	turn, cancel := context.WithTimeout(e.r.Context(), l.o.LoginWait)
	defer cancel()
	if errors.Is(err, room.ErrNotFound) {
		if err := l.o.Passwords.VerifyUnknown(turn, client, c.Password); err != nil {
			return user, "", busy(err)
		}
		return user, "", badCredentials("unknown_user", nil)
	}
	if err != nil {
		return user, "", databaseFailure(err)
	}
	e.identified(user.ID)
	ok, rehash, err := l.o.Passwords.Verify(turn, client, stored, c.Password)
	switch {
	case errors.Is(err, auth.ErrUnreadableHash):
		return user, "", badCredentials("unreadable_hash", err)
	case err != nil:
		return user, "", busy(err)
	case !ok:
		return user, "", badCredentials("wrong_password", nil)
	case !user.Active:
		return user, "", badCredentials("user_inactive", nil)
	case rehash:
		return user, stored, nil
	}
	return user, "", nil
}

// upgrade replaces an outdated hash while the password is known. If it fails, the sign-in succeeds
// and the next one tries again. A hash of another application stays, because that application
// might not be able to read the new one.
func (l *login) upgrade(e *exchange, user room.User, old, password string) {
	if view, err := l.o.Store.UsersAreView(e.r.Context()); err != nil || view {
		return
	}
	turn, cancel := context.WithTimeout(e.r.Context(), l.o.LoginWait)
	defer cancel()
	hash, err := l.o.Passwords.Hash(turn, password)
	if err == nil {
		err = l.o.Store.ReplaceHash(e.r.Context(), user.ID, old, hash)
	}
	if err != nil {
		e.log.Error("Login", "Password hash not upgraded: "+e.user, slog.String("error", err.Error()))
		return
	}
	e.log.Info("Login", "Password hash upgraded: "+e.user)
}
