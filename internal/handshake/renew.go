package app

import (
	"errors"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/handshake"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/session"
)

// renew judges the token of an auth frame. It asks no store: a sign-out after the
// socket's own token was issued ends the socket by itself, and a token that is no
// older than that one was issued after every other. So a socket can be kept alive
// while Postgres is away.
func renew(tokens handshake.Tokens) func(string, session.Token) (session.Token, error) {
	return func(token string, former session.Token) (session.Token, error) {
		c, err := tokens.Verify(token, time.Now())
		switch refusal, ok := errors.AsType[*auth.Refusal](err); {
		case ok:
			return session.Token{}, &room.Invalid{Code: refusal.Reason, Field: "token", Detail: refusal.Error()}
		case err != nil:
			return session.Token{}, &room.Invalid{Code: "internal", Field: "token", Detail: "a fault of the server; the log has it under the reference"}
		case int64(c.UserID) != former.User:
			return session.Token{}, &room.Invalid{Code: auth.TokenInvalid, Field: "token", Detail: "another_user: The token is another user's than the one who opened this socket."}
		case c.IssuedAt.Before(former.IssuedAt):
			return session.Token{}, &room.Invalid{Code: auth.TokenInvalid, Field: "token", Detail: "older_token: The token was issued before the one that the socket has; send a fresh one."}
		}
		return session.Token{User: former.User, IssuedAt: c.IssuedAt, ExpiresAt: c.ExpiresAt}, nil
	}
}
