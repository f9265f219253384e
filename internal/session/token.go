package session

import (
	"log/slog"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
)

// warnAhead is the time before the expiry of the token at which the client is warned.
const warnAhead = 30 * time.Second

// A Token holds the claims of an access token that a session needs.
type Token struct {
	User      int64
	IssuedAt  time.Time // zero if unknown
	ExpiresAt time.Time
}

// Authenticate sets the token of the session. The session is closed with 4001 token_expired
// when the token has expired and [Options.TokenLeeway] has passed. The client is warned 30 s
// before the expiry, unless the token expires sooner.
func (s *Session) Authenticate(t Token) {
	s.account.Authenticated()
	s.registry.join(s, memberKey{user: t.User})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.user, s.issued, s.expires = t.User, 0, t.ExpiresAt.Unix()
	if !t.IssuedAt.IsZero() {
		s.issued = t.IssuedAt.UnixMilli()
	}
	s.warnLater, s.warnDue = time.Until(t.ExpiresAt) > warnAhead, false
}

// Renew replaces the token of the session. The error is that of [Options.Renew]; the session
// keeps its token then.
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

// Token returns the token of the session, or the zero Token if it has none.
func (s *Session) Token() Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.user == 0 {
		return Token{}
	}
	t := Token{User: s.user, ExpiresAt: time.Unix(s.expires, 0)}
	if s.issued != 0 {
		t.IssuedAt = time.UnixMilli(s.issued)
	}
	return t
}

// checkExpiry reports whether the token has expired and whether to warn the client now. A
// classic socket outlives its token. The caller must hold the lock.
func (s *Session) checkExpiry(now time.Time) (expired, warn bool) {
	if s.user == 0 || s.endpoint.classic {
		return false, false
	}
	left := time.Unix(s.expires, 0).Sub(now)
	if warn = s.warnLater && left <= warnAhead; warn {
		s.warnLater, s.warnDue = false, true
	}
	return left <= -s.registry.options.TokenLeeway, warn
}

// expiryWarning returns the token_expiring frame if it is due, else nil.
func (s *Session) expiryWarning() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.warnDue {
		return nil
	}
	s.warnDue = false
	left := time.Until(time.Unix(s.expires, 0)).Round(time.Second)
	return frame.Encode(frame.TokenExpiring{Type: frame.TypeTokenExpiring, ExpiresIn: max(0, int64(left/time.Second)), ExpiresAt: time.Unix(s.expires, 0).UTC().Format(frame.TimeLayout)})
}
