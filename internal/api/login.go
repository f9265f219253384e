package api

import (
	"cmp"
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
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
)

// Accounts is what a sign-in needs of the store.
type Accounts interface {
	// Credentials returns the user of an e-mail address or phone number, and the
	// stored password. It fails with [room.ErrNotFound] or [room.ErrUnavailable].
	Credentials(ctx context.Context, identifier string) (room.User, string, error)
	// ReplaceHash stores a new hash where the old one still stands.
	ReplaceHash(ctx context.Context, id room.UserID, old, new string) error
}

// LoginOptions is what the sign-in is made of. All but Throttle, Metrics, Wait and
// the lifetimes is required.
type LoginOptions struct {
	Accounts  Accounts
	Passwords *auth.Passwords
	Keys      *auth.Keys
	Log       *slog.Logger
	Who       Who
	Throttle  Throttle // nil counts nobody's attempts
	Limits    LoginLimits
	Metrics   prometheus.Registerer

	AccessTTL  time.Duration // how long an access token lives; 0 means 5 minutes
	RefreshTTL time.Duration // how long a refresh token lives; 0 means 7 days
	Wait       time.Duration // how long a password may wait for its turn; 0 means 5 s
}

// A Login answers POST /login/. Whoever is refused for their identifier, their
// password or their account gets one and the same answer after the same work, so
// that nobody learns from it which accounts exist.
type Login struct {
	base

	o        LoginOptions
	outcomes *prometheus.CounterVec
	full     *prometheus.CounterVec
	took     prometheus.Histogram
}

// NewLogin makes the handler of POST /login/.
func NewLogin(o LoginOptions) *Login {
	o.AccessTTL = cmp.Or(o.AccessTTL, 5*time.Minute)
	o.RefreshTTL = cmp.Or(o.RefreshTTL, 7*24*time.Hour)
	o.Wait = cmp.Or(o.Wait, 5*time.Second)
	f := promauto.With(o.Metrics)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "roomspa_logins_waiting",
		Help: "Sign-ins that wait for their password's turn.",
	}, func() float64 { return float64(o.Passwords.Waiting()) })
	return &Login{
		base: base{"Login", o.Log, o.Who}, o: o,
		outcomes: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_logins_total",
			Help: "Sign-ins by outcome: signed_in, or the code of the refusal.",
		}, []string{"outcome"}),
		full: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_logins_throttled_total",
			Help: "Sign-ins refused since there were too many, by what was full: account_address, account or address.",
		}, []string{"limit"}),
		took: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "roomspa_login_seconds",
			Help:    "Time that sign-ins took, refused ones and the wait for the password's turn included.",
			Buckets: []float64{.001, .005, .02, .05, .1, .2, .5, 1, 2, 5, 10},
		}),
	}
}

func (l *Login) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.serve(w, r, func(e *exchange) (any, string, *refusal) {
		began := time.Now()
		answer, no := l.signIn(e)
		outcome := "signed_in"
		if no != nil {
			outcome = no.Code
		}
		l.outcomes.WithLabelValues(outcome).Inc()
		l.took.Observe(time.Since(began).Seconds())
		return answer, "Signed in: " + e.user, no
	})
}

type credentials struct {
	Identifier string `json:"identifier"`
	Password   string `json:"password"`
}

// signIn is the way of a sign-in, step by step; the first that fails ends it.
func (l *Login) signIn(e *exchange) (*tokens, *refusal) {
	var c credentials
	if no := readJSON(e.w, e.r, &c); no != nil {
		return nil, no
	}
	if no := c.validate(); no != nil {
		return nil, no
	}
	e.user = "identifier " + masked(c.Identifier)
	if l.o.Passwords.Busy() { // in a flood neither Redis nor Postgres is asked in vain
		return nil, busy(auth.ErrBusy)
	}
	buckets := l.buckets(e.log.Remote, c.Identifier)
	if no := l.throttled(e, buckets); no != nil {
		return nil, no
	}
	user, upgrade, no := l.identify(e, c)
	if no == nil || no.Code == "database_unavailable" {
		l.forgive(e, buckets)
	}
	if no != nil {
		return nil, no
	}
	if upgrade != "" {
		l.upgrade(e, user, upgrade, c.Password)
	}
	now := issueAt(time.Now(), user.TokensValidAfter)
	first := auth.FirstRefresh(user.ID, now, l.o.RefreshTTL)
	return grant(l.o.Keys, user, now, l.o.AccessTTL, first)
}

// maxIdentifier is the longest identifier in bytes: an e-mail address has at most
// 254 (RFC 5321 §4.5.3.1.3, less the brackets of a path).
const maxIdentifier = 254

// validate checks the form alone: what it refuses cannot be anybody's.
func (c *credentials) validate() *refusal {
	c.Identifier = strings.TrimSpace(c.Identifier) // keyboards add one after a completed word
	switch {
	case c.Identifier == "":
		return badField("identifier", "is missing: send the e-mail address or the phone number")
	case len(c.Identifier) > maxIdentifier:
		return badField("identifier", fmt.Sprintf("has more than %d bytes", maxIdentifier))
	case strings.ContainsFunc(c.Identifier, unicode.IsControl): // Postgres stores no NUL
		return badField("identifier", "has a control character")
	case strings.ContainsRune(c.Identifier, utf8.RuneError):
		return badField("identifier", "has a character that is none (U+FFFD)")
	case c.Password == "":
		return badField("password", "is missing")
	}
	return nil
}

// masked is an identifier as it may be logged. People type their password into
// the wrong field, so only what looks like a domain is shown behind an "@".
func masked(identifier string) string {
	name, domain, _ := strings.Cut(identifier, "@")
	odd := func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '.' }
	if !strings.Contains(domain, ".") || strings.ContainsFunc(domain, odd) {
		return logging.Mask(name)
	}
	return logging.Mask(identifier)
}

// identify finds the user whose password it is. Where the stored hash is to be
// replaced, it is returned as upgrade.
func (l *Login) identify(e *exchange, c credentials) (user room.User, upgrade string, _ *refusal) {
	user, stored, err := l.o.Accounts.Credentials(e.r.Context(), c.Identifier)
	// The wait is bounded, not the work: a client that waited in vain is told so.
	turn, cancel := context.WithTimeout(e.r.Context(), l.o.Wait)
	defer cancel()
	if errors.Is(err, room.ErrNotFound) {
		if err := l.o.Passwords.VerifyUnknown(turn, c.Password); err != nil {
			return user, "", busy(err)
		}
		return user, "", unauthorized("unknown_user", nil)
	}
	if err != nil {
		return user, "", unavailable(err)
	}
	e.user = fmt.Sprintf("user %d", user.ID)
	ok, outdated, err := l.o.Passwords.Verify(turn, stored, c.Password)
	switch {
	case errors.Is(err, auth.ErrUnreadableHash):
		return user, "", unauthorized("unreadable_hash", err)
	case err != nil:
		return user, "", busy(err)
	case !ok:
		return user, "", unauthorized("wrong_password", nil)
	case !user.Active:
		return user, "", unauthorized("user_inactive", nil)
	case outdated:
		return user, stored, nil
	}
	return user, "", nil
}

// upgrade replaces an old hash while the password is at hand. The sign-in is good
// without it, and the next one tries again.
func (l *Login) upgrade(e *exchange, user room.User, old, password string) {
	turn, cancel := context.WithTimeout(e.r.Context(), l.o.Wait)
	defer cancel()
	hash, err := l.o.Passwords.Hash(turn, password)
	if err == nil {
		err = l.o.Accounts.ReplaceHash(e.r.Context(), user.ID, old, hash)
	}
	if err != nil {
		e.log.Error("Login", "Password hash not upgraded: "+e.user, slog.String("error", err.Error()))
		return
	}
	e.log.Info("Login", "Password hash upgraded: "+e.user)
}
