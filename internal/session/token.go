package session

import (
	"log/slog"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
)

// warnAhead is how long before its token's end a client is told that it comes.
const warnAhead = 30 * time.Second

// A Token is what a session lives by: whose it is, when it was issued (zero if
// nobody knows), and when it ends.
type Token struct {
	User      int64
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// Authenticate says by which token the session lives. Its socket is closed with
// 4001 token_expired when that has ended, and a leeway for clocks that differ; the
// client is told 30 s ahead where the token lives that long.
func (s *Session) Authenticate(t Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.user, s.issued, s.expires = t.User, 0, t.ExpiresAt.Unix()
	if !t.IssuedAt.IsZero() {
		s.issued = t.IssuedAt.UnixMilli()
	}
	s.mayWarn, s.warnDue = time.Until(t.ExpiresAt) > warnAhead, false
}

// Renew puts a fresh token in the place of the one that the session lives by. The
// error is that of [Options.Renew], and leaves everything as it was.
func (s *Session) Renew(token string) error {
	t, err := s.registry.options.Renew(token, s.Token())
	s.registry.metrics.renewed(err)
	if err != nil {
		s.log.Warn(s.endpoint.component, "Token not renewed: "+err.Error())
		return err
	}
	s.Authenticate(t)
	s.log.Info(s.endpoint.component, "Token renewed", slog.Time("expires", t.ExpiresAt.UTC()))
	return nil
}

// Token returns what the session lives by; it is zero where that is no token.
func (s *Session) Token() Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token()
}

func (s *Session) token() Token {
	if s.user == 0 {
		return Token{}
	}
	t := Token{User: s.user, ExpiresAt: time.Unix(s.expires, 0)}
	if s.issued != 0 {
		t.IssuedAt = time.UnixMilli(s.issued)
	}
	return t
}

// expiring looks at the token's end: it reports whether it has come, and whether
// the client is to be told now that it will. The lock is held.
func (s *Session) expiring(now time.Time) (over, warn bool) {
	if s.user == 0 {
		return false, false
	}
	left := time.Unix(s.expires, 0).Sub(now)
	if warn = s.mayWarn && left <= warnAhead; warn {
		s.mayWarn, s.warnDue = false, true
	}
	return left <= -s.registry.options.TokenLeeway, warn
}

// warning returns the frame that is due to tell of the token's end, or nil.
func (s *Session) warning() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.warnDue {
		return nil
	}
	s.warnDue = false
	left := time.Until(time.Unix(s.expires, 0)).Round(time.Second)
	return frame.Encode(frame.TokenExpiring{Type: frame.TypeTokenExpiring, ExpiresIn: max(0, int64(left/time.Second))})
}

// Tokens returns whose tokens the sessions live by, and for each user when the
// oldest of them was issued; zero where one does not say.
func (r *Registry) Tokens() map[int64]time.Time {
	oldest := map[int64]time.Time{}
	for _, s := range r.all() {
		t := s.Token()
		if t.User == 0 {
			continue
		}
		if at, known := oldest[t.User]; !known || t.IssuedAt.Before(at) {
			oldest[t.User] = t.IssuedAt
		}
	}
	return oldest
}

// EndTokens ends each session for which why returns a close, given its user and
// when its token was issued, and returns how many. One look at all sessions serves
// any number of users, so no session has to be found by its user, and an idle one
// costs nothing for it.
func (r *Registry) EndTokens(why func(user int64, issued time.Time) *frame.Close) (n int) {
	for _, s := range r.all() {
		t := s.Token()
		if t.User == 0 {
			continue
		}
		if c := why(t.User, t.IssuedAt); c != nil {
			s.End(c)
			n++
		}
	}
	return n
}
