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
	"github.com/roomspa/roomspa/internal/room"
)

// refreshGrace is how long a refresh token that was used gives the same successor
// again. A phone often loses the answer to its request; without this its next
// attempt would look like a thief's, and sign its owner out. A thief who is as
// quick as that gets a token that the owner holds too, and the later one of the
// two to use it ends the sign-in.
const refreshGrace = 30 * time.Second

// SignIns is what the store knows of refresh tokens and sign-outs. Its errors are
// [room.ErrNotFound] or [room.ErrUnavailable].
type SignIns interface {
	// RotateRefresh replaces a refresh token, or ends its family.
	RotateRefresh(ctx context.Context, used, next room.Refresh, grace time.Duration) (room.Rotation, error)
	// RevokeRefresh ends a token's family, and reports whether it was good until then.
	RevokeRefresh(ctx context.Context, t room.Refresh) (good bool, err error)
	// SignOut makes all tokens of a user invalid that were issued up to now or latest,
	// and returns the time from which on one is good again.
	SignOut(ctx context.Context, user room.UserID, latest time.Time) (validAfter time.Time, err error)
}

// Revocations ends the sockets of who signed out, on every replica.
type Revocations interface {
	// SignedOut returns at once.
	SignedOut(user room.UserID, validAfter time.Time)
}

// A signIn answers POST /token/refresh/ and POST /logout/.
type signIn struct {
	o               Options
	refreshes, outs *prometheus.CounterVec
	refresh, logout base
}

func newSignIn(o Options, log *slog.Logger, reg prometheus.Registerer) *signIn {
	f := promauto.With(reg)
	return &signIn{
		o: o, refresh: base{"Tokens", log, o.Who}, logout: base{"Logout", log, o.Who},
		refreshes: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_token_refreshes_total",
			Help: "Uses of refresh tokens by outcome: rotated, repeated (the answer was lost), reused (an old one came, and its sign-in was ended), or the code of the refusal.",
		}, []string{"outcome"}),
		outs: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_logouts_total",
			Help: "Sign-outs by scope (this, everywhere) and outcome: done, already, or the code of the refusal.",
		}, []string{"scope", "outcome"}),
	}
}

type tokens struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"` // seconds
	User         who    `json:"user"`
}

type who struct {
	ID    room.UserID `json:"id"`
	Email string      `json:"email"`
	Role  room.Role   `json:"role"`
}

// grant mints an access token beside a refresh token.
func grant(keys *auth.Keys, user room.User, now time.Time, ttl time.Duration, refresh room.Refresh) (*tokens, *refusal) {
	access, _, err := keys.Mint(auth.Access, user.ID, now, ttl)
	if err != nil {
		return nil, internal(err)
	}
	text, err := keys.MintRefresh(refresh)
	if err != nil {
		return nil, internal(err)
	}
	return &tokens{
		AccessToken: access, RefreshToken: text, TokenType: "Bearer",
		ExpiresIn: int64(ttl / time.Second), User: who{user.ID, user.Email, user.Role},
	}, nil
}

// issueAt returns when tokens that are minted now count as issued. A sign-out
// everywhere refuses those of the second that it came in, too, and so who signs in
// within it gets tokens of the next one; nobody minds, since clocks differ more.
func issueAt(now, validAfter time.Time) time.Time {
	whole := validAfter.Add(time.Second - 1).Truncate(time.Second)
	if whole.After(now) && whole.Sub(now) <= auth.Leeway {
		return whole
	}
	return now
}

// Refresh answers POST /token/refresh/.
func (s *signIn) Refresh(w http.ResponseWriter, r *http.Request) {
	s.refresh.serve(w, r, func(e *exchange) (any, string, *refusal) {
		answer, outcome, no := s.rotate(e)
		if no != nil {
			s.refreshes.WithLabelValues(cmp.Or(outcome, no.Code)).Inc()
			return nil, "", no
		}
		s.refreshes.WithLabelValues(outcome).Inc()
		return answer, "Refreshed: " + e.user, nil
	})
}

// rotate trades a refresh token for new tokens, step by step; the first that fails
// ends it.
func (s *signIn) rotate(e *exchange) (_ *tokens, outcome string, _ *refusal) {
	var body struct {
		RefreshToken string `json:"refresh_token"`
	}
	if no := readJSON(e.w, e.r, &body); no != nil {
		return nil, "", no
	}
	used, no := s.verify(e, body.RefreshToken)
	if no != nil {
		return nil, "", no
	}
	user, no := speaksFor(e, s.o.Store, used.User, used.IssuedAt)
	if no != nil {
		return nil, "", no
	}
	now := issueAt(time.Now(), user.TokensValidAfter)
	rotation, err := s.o.Store.RotateRefresh(e.r.Context(), used, auth.NextRefresh(used, now, s.o.RefreshTTL), refreshGrace)
	switch {
	case err != nil:
		return nil, "", unavailable(err)
	case rotation.Reused:
		no := notIdentified("token_revoked", "This refresh token was used before, so somebody else may have it. Its sign-in is ended: sign in again.")
		no.cause = "token_revoked reused"
		return nil, "reused", no
	case rotation.Revoked:
		return nil, "", notIdentified("token_revoked", "This sign-in was ended. Sign in again.")
	}
	outcome = "rotated"
	if rotation.Repeated {
		outcome = "repeated"
	}
	answer, no := grant(s.o.Keys, *user, now, s.o.AccessTTL, rotation.Refresh)
	return answer, outcome, no
}

func (s *signIn) verify(e *exchange, token string) (room.Refresh, *refusal) {
	if token == "" {
		return room.Refresh{}, badField("refresh_token", "is missing")
	}
	used, err := s.o.Keys.VerifyRefresh(token, time.Now())
	if err != nil {
		return used, refusedToken(err)
	}
	e.user = fmt.Sprintf("user %d", used.User)
	return used, nil
}

// Logout answers POST /logout/.
func (s *signIn) Logout(w http.ResponseWriter, r *http.Request) {
	s.logout.serve(w, r, func(e *exchange) (any, string, *refusal) {
		scope, outcome, no := s.leave(e)
		if no != nil {
			s.outs.WithLabelValues(scope, no.Code).Inc()
			return nil, "", no
		}
		s.outs.WithLabelValues(scope, outcome).Inc()
		return nil, fmt.Sprintf("Signed out: %s, %s, %s", e.user, scope, outcome), nil
	})
}

// leave ends one sign-in or all of the user's. What has ended already is no error:
// the client wants to be signed out, and is.
func (s *signIn) leave(e *exchange) (scope, outcome string, _ *refusal) {
	var body struct {
		RefreshToken string `json:"refresh_token"`
		Everywhere   bool   `json:"everywhere"`
	}
	no := readJSON(e.w, e.r, &body)
	if scope = "this"; body.Everywhere {
		scope = "everywhere"
	}
	if no != nil {
		return scope, "", no
	}
	t, no := s.verify(e, body.RefreshToken)
	switch {
	case no != nil && no.Code == auth.TokenExpired && !body.Everywhere:
		e.user = "nobody any more"
		return scope, "already", nil
	case no != nil:
		return scope, "", no
	case !body.Everywhere:
		good, err := s.o.Store.RevokeRefresh(e.r.Context(), t)
		if err != nil {
			return scope, "", unavailable(err)
		}
		return scope, done(good), nil
	}
	// A token that was replaced will do: whoever holds one may at worst be careful.
	user, no := speaksFor(e, s.o.Store, t.User, t.IssuedAt)
	if no != nil && no.Status == http.StatusUnauthorized {
		return scope, "already", nil
	}
	if no != nil {
		return scope, "", no
	}
	latest := time.Now()
	if t.IssuedAt.After(latest) {
		latest = t.IssuedAt
	}
	validAfter, err := s.o.Store.SignOut(e.r.Context(), user.ID, latest)
	switch {
	case errors.Is(err, room.ErrNotFound):
		return scope, "already", nil
	case err != nil:
		return scope, "", unavailable(err)
	}
	s.o.Revocations.SignedOut(user.ID, validAfter)
	return scope, "done", nil
}

func done(now bool) string {
	if now {
		return "done"
	}
	return "already"
}
