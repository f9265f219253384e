package handshake

import (
	"errors"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/session"
)

// Renew returns a function that verifies the token of an auth frame against the token
// that the socket has now. Its errors are *[room.Invalid].
//
// It asks no store, so a socket can be kept alive while Postgres is unavailable. That
// is safe: a sign-out after the socket's own token was issued ends the socket anyway,
// and the new token is not older than that one.
func Renew(tokens Tokens) func(token string, current session.Token) (session.Token, error) {
	return func(token string, current session.Token) (session.Token, error) {
		c, err := tokens.Verify(token, time.Now())
		switch refusal, ok := errors.AsType[*auth.Refusal](err); {
		case ok:
			return session.Token{}, &room.Invalid{Code: refusal.Reason, Field: "token", Detail: refusal.Error()}
		case err != nil:
			return session.Token{}, &room.Invalid{Code: "internal", Field: "token", Detail: "The server failed; its log has the cause under the reference."}
		case int64(c.UserID) != current.User:
			return session.Token{}, &room.Invalid{Code: auth.TokenInvalid, Field: "token", Detail: "another_user: The token belongs to another user than the one who opened this socket."}
		case c.IssuedAt.Before(current.IssuedAt):
			return session.Token{}, &room.Invalid{Code: auth.TokenInvalid, Field: "token", Detail: "older_token: The token is older than the socket's current token; send a fresh one."}
		}
		return session.Token{User: current.User, IssuedAt: c.IssuedAt, ExpiresAt: c.ExpiresAt}, nil
	}
}
