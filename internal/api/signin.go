package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/cause"
	failures "github.com/roomspa/roomspa/internal/failure"
	"github.com/roomspa/roomspa/internal/room"
)

// refreshGrace is the time for which a used refresh token returns the same successor again, because
// a client may have several requests under way. Later, as long as the successor was not used, it
// returns another one in its place: phones often lose the answer to a request and come back much
// later, and that must not look like a stolen token, which would sign the user out.
const refreshGrace = 30 * time.Second

// SignIns stores refresh tokens and sign-outs. Its errors wrap [room.ErrNotFound] or
// [room.ErrUnavailable].
type SignIns interface {
	// RotateRefresh replaces a refresh token by next, or revokes its family. A token whose
	// successor was not used may be used again, and within grace returns the same successor.
	RotateRefresh(ctx context.Context, used, next room.Refresh, grace time.Duration) (room.Rotation, error)
	// RevokeRefresh revokes a token's family and reports whether it was valid before.
	RevokeRefresh(ctx context.Context, t room.Refresh) (valid bool, err error)
	// SignOut revokes all tokens of a user that were issued until latest or now.
	SignOut(ctx context.Context, user room.UserID, latest time.Time) error
}

// Revocations closes the sockets of users who signed out, on all replicas.
type Revocations interface {
	// Check closes the sockets of a user whose tokens Postgres refuses. It does not block.
	Check(user room.UserID)
}

// A signIn serves POST /token/refresh/ and POST /logout/.
type signIn struct {
	o                  Options
	refreshes, logouts *prometheus.CounterVec
	refresh, logout    base
}

func newSignIn(o Options, reg prometheus.Registerer) *signIn {
	f := promauto.With(reg)
	return &signIn{
		o: o, refresh: o.base("Tokens", failures.SignIn), logout: o.base("Logout", failures.SignIn),
		refreshes: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_token_refreshes_total",
			Help: "Total uses of refresh tokens, by outcome: rotated, repeated (retry after a lost answer), reused (an old token was used and its family revoked), or the error code of the response.",
		}, []string{"outcome"}),
		logouts: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_logouts_total",
			Help: "Total sign-outs, by scope (this, everywhere) and outcome: done, already (signed out before), or the error code of the response.",
		}, []string{"scope", "outcome"}),
	}
}

type tokensJSON struct {
	AccessToken  string   `json:"access_token"`
	RefreshToken string   `json:"refresh_token"`
	TokenType    string   `json:"token_type"`
	ExpiresIn    int64    `json:"expires_in"` // seconds
	User         userJSON `json:"user"`
}

type userJSON struct {
	ID    room.UserID `json:"id"`
	Email *string     `json:"email"` // null if the user has none
	Role  room.Role   `json:"role"`
}

// mintTokens mints an access token and the refresh token with the claims refresh.
func mintTokens(keys *auth.Keys, user room.User, now time.Time, ttl time.Duration, refresh room.Refresh) (*tokensJSON, *failure) {
	access, _, err := keys.Mint(auth.Access, user.ID, now, ttl)
	if err != nil {
		return nil, internalFailure(err)
	}
	text, err := keys.MintRefresh(refresh)
	if err != nil {
		return nil, internalFailure(err)
	}
	answer := &tokensJSON{
		AccessToken: access, RefreshToken: text, TokenType: "Bearer",
		ExpiresIn: int64(ttl / time.Second), User: userJSON{ID: user.ID, Role: user.Role},
	}
	if user.Email != "" {
		answer.User.Email = &user.Email
	}
	return answer, nil
}

// issueTime returns the time of issue for tokens that are minted now. A sign-out everywhere revokes
// all tokens of its second, so tokens minted within this second are issued in the next one. The
// difference is smaller than the leeway for clocks.
func issueTime(now, validAfter time.Time) time.Time {
	whole := validAfter.Add(time.Second - 1).Truncate(time.Second)
	if whole.After(now) && whole.Sub(now) <= auth.Leeway {
		return whole
	}
	return now
}

// Refresh serves POST /token/refresh/.
func (s *signIn) Refresh(w http.ResponseWriter, r *http.Request) {
	s.refresh.serve(w, r, func(e *exchange) (any, string, *failure) {
		answer, outcome, fail := s.rotate(e)
		if fail != nil {
			s.refreshes.WithLabelValues(cmp.Or(outcome, fail.Code)).Inc()
			return nil, "", fail
		}
		s.refreshes.WithLabelValues(outcome).Inc()
		return answer, "Refreshed: " + e.user, nil
	})
}

// rotate exchanges a refresh token for new tokens. outcome is for the metric; it is empty if the
// code of the failure is the outcome.
func (s *signIn) rotate(e *exchange) (_ *tokensJSON, outcome string, _ *failure) {
	var body struct {
		RefreshToken string `json:"refresh_token"`
	}
	e.step("read the body")
	if fail := readFields(e.w, e.r, &body); fail != nil {
		return nil, "", fail
	}
	used, fail := s.verify(e, body.RefreshToken)
	if fail != nil {
		return nil, "", fail
	}
	user, fail := tokenUser(e, s.o.Store, used.User, used.IssuedAt)
	if fail != nil {
		return nil, "", fail
	}
	e.step("replace the token")
	now := issueTime(time.Now(), user.TokensValidAfter)
	rotation, err := s.o.Store.RotateRefresh(e.r.Context(), used, auth.NextRefresh(used, now, s.o.RefreshTTL), refreshGrace)
	switch {
	case err != nil:
		return nil, "", databaseFailure(err)
	case rotation.Reused:
		// Access tokens and sockets do not know their sign-in, so all of the user's end, even if
		// the client does not wait for the answer.
		if err := s.signOut(context.WithoutCancel(e.r.Context()), used); err != nil {
			e.log.Error(e.component, "Access tokens after a reused refresh token not revoked: "+err.Error(), slog.String("cause", cause.Of(err)))
		}
		fail := unauthenticated("token_revoked", "This refresh token was used before and may be stolen, so the user was signed out everywhere. Sign in again.")
		fail.cause = "token_revoked reused"
		return nil, "reused", fail
	case rotation.Revoked:
		return nil, "", unauthenticated("token_revoked", "This sign-in was ended. Sign in again.")
	}
	outcome = "rotated"
	if rotation.Repeated {
		outcome = "repeated"
	}
	answer, fail := mintTokens(s.o.Keys, *user, now, s.o.AccessTTL, rotation.Refresh)
	return answer, outcome, fail
}

// signOut revokes all tokens of the user of a refresh token, and closes their sockets.
func (s *signIn) signOut(ctx context.Context, t room.Refresh) error {
	latest := time.Now()
	if t.IssuedAt.After(latest) {
		latest = t.IssuedAt
	}
	err := s.o.Store.SignOut(ctx, t.User, latest)
	if err == nil {
		s.o.Revocations.Check(t.User)
	}
	return err
}

func (s *signIn) verify(e *exchange, token string) (room.Refresh, *failure) {
	e.step("verify the token")
	if token == "" {
		return room.Refresh{}, badField("refresh_token", "is missing")
	}
	used, err := s.o.Keys.VerifyRefresh(token, time.Now())
	if err != nil {
		return used, tokenRefusal(err)
	}
	e.identified(used.User)
	return used, e.visit.startRefresh(used.User)
}

// Logout serves POST /logout/.
func (s *signIn) Logout(w http.ResponseWriter, r *http.Request) {
	s.logout.serve(w, r, func(e *exchange) (any, string, *failure) {
		scope, outcome, fail := s.logOut(e)
		if fail != nil {
			s.logouts.WithLabelValues(scope, fail.Code).Inc()
			return nil, "", fail
		}
		s.logouts.WithLabelValues(scope, outcome).Inc()
		return nil, fmt.Sprintf("Signed out: %s, %s, %s", e.user, scope, outcome), nil
	})
}

// logOut revokes one sign-in or all sign-ins of the user. It is not an error if they are revoked
// already.
func (s *signIn) logOut(e *exchange) (scope, outcome string, _ *failure) {
	var body struct {
		RefreshToken string `json:"refresh_token"`
		Everywhere   bool   `json:"everywhere"`
	}
	fail := readFields(e.w, e.r, &body)
	if scope = "this"; body.Everywhere {
		scope = "everywhere"
	}
	if fail != nil {
		return scope, "", fail
	}
	t, fail := s.verify(e, body.RefreshToken)
	switch {
	case fail != nil && fail.Code == auth.TokenExpired && !body.Everywhere:
		e.user = "expired token"
		return scope, "already", nil
	case fail != nil:
		return scope, "", fail
	case !body.Everywhere:
		e.step("revoke the tokens")
		valid, err := s.o.Store.RevokeRefresh(e.r.Context(), t)
		if err != nil {
			return scope, "", databaseFailure(err)
		}
		return scope, logoutOutcome(valid), nil
	}
	// A replaced token is accepted, because a sign-out can do no harm.
	switch _, fail = tokenUser(e, s.o.Store, t.User, t.IssuedAt); {
	case fail != nil && fail.Status == http.StatusUnauthorized:
		return scope, "already", nil
	case fail != nil:
		return scope, "", fail
	}
	e.step("revoke the tokens")
	switch err := s.signOut(e.r.Context(), t); {
	case errors.Is(err, room.ErrNotFound):
		return scope, "already", nil
	case err != nil:
		return scope, "", databaseFailure(err)
	}
	return scope, "done", nil
}

func logoutOutcome(revoked bool) string {
	if revoked {
		return "done"
	}
	return "already"
}
