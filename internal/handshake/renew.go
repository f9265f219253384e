package handshake

import (
	"errors"
	"fmt"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/session"
)

// Renew returns a function that verifies the token of an auth frame against the token
// that the socket has now. Its errors are *[room.Invalid].
//
// It asks no store, so a socket can be kept alive while Postgres is unavailable. Whether
// the user may still be there is what [Server.Recheck] decides. The caller requests that,
// and it is done as soon as Postgres answers.
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

// Recheck decides whether a socket may stay open. It returns nil if the facts that admitted
// it still hold, else the close: that of a new handshake, or wrong_role if a new handshake
// would be admitted in another role. find returns a user as Postgres has it now, or nil.
func (s *Server) Recheck(g session.Grant, find func(room.UserID) *room.User) *frame.Close {
	u := find(room.UserID(g.User))
	if reason := u.Refuses(g.IssuedAt); reason != "" {
		return &frame.Close{Code: frame.CodeIdentity, Reason: reason}
	}
	if g.Role == "" {
		return nil // the handshake is about to decide
	}
	if authorize := s.endpoints[g.Endpoint].Authorize; authorize != nil {
		p := endpoint.Peer{User: u, Classic: g.Classic, IDs: make([]room.UserID, len(g.IDs))}
		for i, id := range g.IDs {
			p.IDs[i] = room.UserID(id)
		}
		if r := authorize(p, find); r != nil {
			return r.Close
		}
	}
	if string(u.Role) != g.Role {
		return &frame.Close{
			Code: frame.CodeForbidden, Reason: "wrong_role",
			Detail: fmt.Sprintf("user %d was %s when the socket opened and is %s now; connect again", u.ID, g.Role, u.Role),
		}
	}
	return nil
}
