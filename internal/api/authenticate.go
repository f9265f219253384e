package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/problem"
	"github.com/roomspa/roomspa/internal/room"
)

// Tokens verifies access tokens. Its errors are *[auth.Refusal].
type Tokens interface {
	Verify(token string, now time.Time) (auth.Claims, error)
}

// Users returns users by id. The map has no entry for a user who does not exist.
type Users interface {
	Users(ctx context.Context, ids []room.UserID) (map[room.UserID]*room.User, error)
}

// An authenticator authenticates requests by their access token. It accepts tokens in the same
// places, by the same rules and with the same words for refusals as a handshake.
type authenticator struct {
	tokens Tokens
	users  Users
}

// authenticate returns the user of a request and the claims of its token.
func (a authenticator) authenticate(e *exchange) (*room.User, auth.Claims, *failure) {
	e.step("verify the token")
	token, err := auth.FromRequest(e.r)
	if err != nil {
		return nil, auth.Claims{}, tokenRefusal(err)
	}
	claims, err := a.tokens.Verify(token, time.Now())
	if err != nil {
		return nil, auth.Claims{}, tokenRefusal(err)
	}
	e.identified(claims.UserID)
	e.visit.authenticated()
	user, fail := tokenUser(e, a.users, claims.UserID, claims.IssuedAt)
	return user, claims, fail
}

// tokenUser returns the user of a token that was issued at the time issued. It fails if the token
// is no longer valid for the user.
func tokenUser(e *exchange, users Users, id room.UserID, issued time.Time) (*room.User, *failure) {
	e.step("load the user")
	found, err := users.Users(e.r.Context(), []room.UserID{id})
	if err != nil {
		return nil, databaseFailure(err)
	}
	user := found[id]
	switch reason := user.Refuses(issued); reason {
	case "":
		e.signedIn = true
		e.step("answer")
		return user, nil
	case "user_unknown":
		return nil, unauthenticated(reason, "The user of this token does not exist.")
	case "user_inactive":
		return nil, unauthenticated(reason, "The account is not active.")
	default:
		return nil, unauthenticated(reason, "The user signed out everywhere after the token was issued. Sign in again.")
	}
}

func tokenRefusal(err error) *failure {
	r, ok := errors.AsType[*auth.Refusal](err)
	switch {
	case !ok:
		return internalFailure(err)
	case r.Reason == auth.TokenMissing:
		// RFC 6750 §3.1: no error code if there is no token.
		fail := unauthenticated(r.Reason, "Send an access token in the header Authorization: Bearer.")
		fail.challenge = ""
		return fail
	default:
		fail := unauthenticated(r.Reason, r.Detail)
		fail.cause += " " + r.Word
		if r.Hint != "" {
			fail.err = errors.New(r.Hint)
		}
		fail.More = map[string]any{"cause": r.Word}
		return fail
	}
}

func unauthenticated(code, detail string) *failure {
	return &failure{cause: code, challenge: `, error="invalid_token"`, Problem: problem.Problem{
		Status: http.StatusUnauthorized, Code: code, Detail: detail,
	}}
}
