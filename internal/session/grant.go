package session

import (
	"time"

	"github.com/roomspa/roomspa/internal/frame"
)

// A Grant holds the facts that admitted a session. They are checked again for the whole life
// of the session.
type Grant struct {
	Endpoint string
	Classic  bool // see [Kind]
	User     int64
	IssuedAt time.Time // of the token; zero if unknown
	Role     string    // of the user; empty while the handshake loads the user
	IDs      []int64   // the users that the path names

	session *Session
}

// Admit sets the facts that admit the user of the session. The handshake calls it with an
// empty role before it loads the users, so that a change that happens meanwhile is not
// missed, and again with the role. The session keeps ids.
func (s *Session) Admit(role string, ids []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.role, s.ids = role, ids
	s.chooseWatchLocked()
}

// Grants returns the facts that admitted the open sessions. Sessions without a token are
// left out.
func (r *Registry) Grants() []Grant {
	all := r.all(nil)
	grants := make([]Grant, 0, len(all))
	for _, s := range all {
		t := s.Token()
		s.mu.Lock()
		if t.User != 0 && s.cause == nil {
			grants = append(grants, Grant{Endpoint: s.endpoint.name, Classic: s.endpoint.classic, User: t.User, IssuedAt: t.IssuedAt, Role: s.role, IDs: s.ids, session: s})
		}
		s.mu.Unlock()
	}
	return grants
}

// EndWhere ends the session of each grant for which why returns a close, and returns their
// number. why gets the time of issue of the token that the session has now.
func (r *Registry) EndWhere(grants []Grant, why func(Grant) *frame.Close) (n int) {
	for _, g := range grants {
		g.IssuedAt = g.session.Token().IssuedAt
		if c := why(g); c != nil {
			g.session.End(c)
			n++
		}
	}
	return n
}
