package client

import (
	"cmp"
	"crypto/tls"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
)

const (
	backoffBase = time.Second
	backoffCap  = 30 * time.Second
	// policyDelay follows 1008: the client kept breaking a limit.
	policyDelay = time.Minute
	// maxAsked bounds what a server can ask for: a mistyped Retry-After must not
	// silence a client for a day.
	maxAsked = 10 * time.Minute
)

// A GaveUpError is the end of a session that trying again would not help.
type GaveUpError struct {
	Cause error  // a *CloseError, a *Refused, or whatever ended the last attempt
	Next  string // what a person can do
}

func (e *GaveUpError) Error() string { return e.Cause.Error() + ". " + e.Next }
func (e *GaveUpError) Unwrap() error { return e.Cause }

// A tokenError is a TokenSource that gave none.
type tokenError struct{ err error }

func (e *tokenError) Error() string { return "no token: " + e.err.Error() }
func (e *tokenError) Unwrap() error { return e.err }

// A verdict is what follows the end of a socket or of a handshake.
type verdict struct {
	stop  bool
	delay time.Duration
	next  string // in words
}

// backoff is full jitter: anything from nothing to a limit that doubles with
// each failure in a row. It spreads those who were cut off together.
func (s *Session) backoff() time.Duration {
	return s.jitter(min(backoffBase<<min(s.failures, 10), cmp.Or(s.o.MaxBackoff, backoffCap)))
}

// judge decides what follows err. Beside the back-off it changes two things: the
// token that was refused, and the message that was too large.
func (s *Session) judge(err error) verdict {
	if t, ok := errors.AsType[*tokenError](err); ok {
		return s.judgeToken(t.err)
	}
	if refused, ok := errors.AsType[*Refused](err); ok {
		return s.judgeRefusal(refused)
	}
	if closed, ok := errors.AsType[*CloseError](err); ok {
		return s.judgeClose(closed)
	}
	if gap, ok := errors.AsType[*GapError](err); ok {
		v := verdict{next: "Reconnecting to ask for " + "#" + strconv.FormatInt(gap.Expected, 10) + "."}
		if s.failures > 0 {
			v.delay = s.backoff()
		}
		return v
	}
	if _, bad := errors.AsType[*tls.CertificateVerificationError](err); bad {
		return verdict{stop: true, next: "The server's certificate is not accepted: look at its name, its chain and its expiry."}
	}
	if _, urlErr := SocketURL(s.o.Socket.URL); urlErr != nil {
		return verdict{stop: true, next: "Mend the URL."}
	}
	return verdict{delay: s.backoff(), next: "Look whether the server runs, whether the address is right, and whether something between refuses it."}
}

func (s *Session) judgeToken(err error) verdict {
	refused, ok := errors.AsType[*Refused](err)
	switch {
	case errors.Is(err, ErrNoFreshToken):
		return verdict{stop: true, next: "Sign in again, and give the new token."}
	case ok && refused.Status < 500 && !transient(refused.Status):
		return verdict{stop: true, next: "The sign-in was refused: look at the identifier and the password."}
	case ok:
		return verdict{delay: min(refused.RetryAfter, maxAsked) + s.backoff(), next: "Try to sign in again later."}
	}
	return verdict{delay: s.backoff(), next: "Try to sign in again later."}
}

// transient reports the statuses below 500 that ask for another try (RFC 9110
// §15.5.9, RFC 8470, RFC 6585).
func transient(status int) bool {
	return status == http.StatusRequestTimeout || status == http.StatusTooEarly || status == http.StatusTooManyRequests
}

func (s *Session) judgeRefusal(r *Refused) verdict {
	stop := func(next string) verdict { return verdict{stop: true, next: next} }
	switch {
	case r.Status >= 500 || transient(r.Status):
		return verdict{delay: min(r.RetryAfter, maxAsked) + s.backoff(), next: "The server, or what stands in front of it, takes no handshakes now: try again later."}
	case r.Status == http.StatusForbidden:
		return stop("The Origin is not on the server's list, or something in front of it refused.")
	case r.Status == http.StatusNotFound:
		return stop("Look at the path: there are /ws/test/, /ws/chat/{customer_id}/{therapist_id}/ and /ws/location/{customer_id}/{therapist_id}/.")
	case r.Status == http.StatusUpgradeRequired:
		return stop("The upgrade did not reach the server: a proxy between does not forward Upgrade and Connection.")
	case r.Status >= 300 && r.Status < 400:
		return stop("WebSocket clients follow no redirects: use the address it names (" + r.Header.Get("Location") + "), as ws:// or wss://.")
	default:
		return stop("Mend the request, or what stands between.")
	}
}

func (s *Session) judgeClose(c *CloseError) verdict {
	code, word := c.Code, c.Reason
	if !c.Clean && c.Announced != 0 {
		code, word = c.Announced, c.Word // its Close frame was lost on the way
	}
	_, todo := meaning(code, word)
	after := min(c.After, maxAsked)
	switch code {
	case frame.CodeNormal, frame.CodeProtocol, frame.CodeUnsupported, frame.CodeInvalidData, 1010,
		frame.CodeParameters, frame.CodeForbidden:
		return verdict{stop: true, next: todo}
	case frame.CodeIdentity:
		return s.judgeIdentity(word, todo)
	case frame.CodePolicy:
		return verdict{delay: policyDelay, next: todo}
	case frame.CodeTooBig:
		if p := s.box.largestSent(); p != nil {
			s.drop(c.Ref, p.id, errors.New("too_large: the message is larger than the server's limit"))
		}
		return verdict{delay: s.backoff(), next: todo}
	case frame.CodeRestart:
		return s.asked(c.Told, after, todo)
	case frame.CodeTryLater:
		return verdict{delay: max(after, s.backoff()), next: todo}
	case CodeAbnormal:
		if c.Told {
			return s.asked(true, after, "Reconnect after after_ms, and resume.")
		}
	}
	if code >= 3000 {
		return verdict{stop: true, next: todo}
	}
	return verdict{delay: s.backoff(), next: todo}
}

// asked is the delay that the reconnect frame asked for: the server has spread
// its clients already, and expects them then.
func (s *Session) asked(told bool, after time.Duration, todo string) verdict {
	if told && (after > 0 || s.failures == 0) {
		return verdict{delay: after, next: todo}
	}
	return verdict{delay: s.backoff(), next: todo}
}

// judgeIdentity gets a fresh token once. If the server refuses that one too, the
// token is not what is wrong.
func (s *Session) judgeIdentity(word, todo string) verdict {
	switch {
	case word == "user_inactive", s.static:
		return verdict{stop: true, next: todo}
	case s.renewed:
		return verdict{stop: true, next: "A fresh token was refused as well: ask the server why, under the reference."}
	}
	s.renewed = true
	s.token.refuse()
	v := verdict{next: todo}
	if s.failures > 0 {
		v.delay = s.backoff()
	}
	return v
}

// refOf returns the reference of whatever ended an attempt, or nothing.
func refOf(err error) string {
	if c, ok := errors.AsType[*CloseError](err); ok {
		return c.Ref
	}
	if r, ok := errors.AsType[*Refused](err); ok {
		return r.Ref
	}
	return ""
}
