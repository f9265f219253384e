package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/problem"
	"github.com/roomspa/roomspa/internal/room"
)

// Tokens verifies access tokens. Its errors are *auth.Refusal.
type Tokens interface {
	Verify(token string, now time.Time) (auth.Claims, error)
}

// Users finds users by id; one that does not exist is missing in the map.
type Users interface {
	Users(ctx context.Context, ids []room.UserID) (map[room.UserID]*room.User, error)
}

// An authenticator finds the user of a request by its access token. It applies the same
// rules as a handshake, and refuses with the same words.
type authenticator struct {
	tokens Tokens
	users  Users
}

// authenticate returns the user of a request and the claims of its token.
func (a authenticator) authenticate(e *exchange) (*room.User, auth.Claims, *refusal) {
	token, err := auth.FromRequest(e.r)
	if err != nil {
		return nil, auth.Claims{}, refusedToken(err)
	}
	claims, err := a.tokens.Verify(token, time.Now())
	if err != nil {
		return nil, auth.Claims{}, refusedToken(err)
	}
	e.user = fmt.Sprintf("user %d", claims.UserID)
	user, no := speaksFor(e, a.users, claims.UserID, claims.IssuedAt)
	return user, claims, no
}

// speaksFor returns the user of a token that was issued at a time. It refuses if the
// user's tokens of that time are not valid any more.
func speaksFor(e *exchange, users Users, id room.UserID, issued time.Time) (*room.User, *refusal) {
	found, err := users.Users(e.r.Context(), []room.UserID{id})
	if err != nil {
		return nil, unavailable(err)
	}
	user := found[id]
	switch reason := user.Refuses(issued); reason {
	case "":
		return user, nil
	case "user_unknown":
		return nil, notIdentified(reason, "There is no user of this token's user_id.")
	case "user_inactive":
		return nil, notIdentified(reason, "The account is not active.")
	default:
		return nil, notIdentified(reason, "The user signed out everywhere after the token was issued. Sign in again.")
	}
}

func refusedToken(err error) *refusal {
	r, ok := errors.AsType[*auth.Refusal](err)
	switch {
	case !ok:
		return internal(err)
	case r.Reason == auth.TokenMissing:
		// RFC 6750 §3.1: no error code where no token came.
		no := notIdentified(r.Reason, "Send an access token in the header Authorization: Bearer.")
		no.challenge = ""
		return no
	default:
		no := notIdentified(r.Reason, r.Detail)
		no.cause += " " + r.Word
		no.More = map[string]any{"cause": r.Word}
		return no
	}
}

func notIdentified(code, detail string) *refusal {
	return &refusal{cause: code, challenge: `, error="invalid_token"`, Problem: problem.Problem{
		Status: http.StatusUnauthorized, Code: code, Detail: detail,
	}}
}
