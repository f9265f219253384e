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
	// policyDelay follows a 1008: the client kept exceeding a limit.
	policyDelay = time.Minute
	// maxAskedDelay bounds the delay that a server can ask for, so that a wrong
	// Retry-After does not silence a client for a day.
	maxAskedDelay = 10 * time.Minute
)

// A GaveUpError means that a session ended because another attempt would not help.
type GaveUpError struct {
	Cause error  // a *CloseError, a *StatusError, or another error of the last attempt
	Next  string // advice for a person
}

func (e *GaveUpError) Error() string { return e.Cause.Error() + ". " + e.Next }
func (e *GaveUpError) Unwrap() error { return e.Cause }

// A tokenError wraps the error of a TokenSource.
type tokenError struct{ err error }

func (e *tokenError) Error() string { return "no token: " + e.err.Error() }
func (e *tokenError) Unwrap() error { return e.err }

// A decision says what a session does after a failed attempt.
type decision struct {
	stop  bool
	delay time.Duration
	next  string // explanation or advice for a person
}

// backoff returns a delay with full jitter, up to a limit that doubles with each
// consecutive failure. It spreads clients that were disconnected together.
func (s *Session) backoff() time.Duration {
	return s.jitter(min(backoffBase<<min(s.failures, 10), cmp.Or(s.o.MaxBackoff, backoffCap)))
}

// decide returns what to do after err. It also marks a refused token as such, and drops a
// message that was too large.
func (s *Session) decide(err error) decision {
	if t, ok := errors.AsType[*tokenError](err); ok {
		return s.decideToken(t.err)
	}
	renewed := s.tokenRenewed
	s.tokenRenewed = false // a new token that nobody looked at may expire like another
	if status, ok := errors.AsType[*StatusError](err); ok {
		return s.decideStatus(status)
	}
	if closed, ok := errors.AsType[*CloseError](err); ok {
		return s.decideClose(closed, renewed)
	}
	if gap, ok := errors.AsType[*GapError](err); ok {
		d := decision{next: "Reconnecting to request #" + strconv.FormatInt(gap.Expected, 10) + "."}
		if s.failures > 0 {
			d.delay = s.backoff()
		}
		return d
	}
	if _, bad := errors.AsType[*tls.CertificateVerificationError](err); bad {
		return decision{stop: true, next: "The server's certificate was rejected: check its name, its chain and its expiry."}
	}
	if _, urlErr := SocketURL(s.o.Socket.URL); urlErr != nil {
		return decision{stop: true, next: "Correct the URL."}
	}
	return decision{delay: s.backoff(), next: "Check that the server runs, that the address is right, and that no firewall or proxy refuses the connection."}
}

func (s *Session) decideToken(err error) decision {
	status, ok := errors.AsType[*StatusError](err)
	switch {
	case errors.Is(err, ErrNoFreshToken):
		return decision{stop: true, next: "Sign in again, and use the new token."}
	case ok && status.Status < 500 && !isTransient(status.Status):
		return decision{stop: true, next: "The sign-in was refused: check the identifier and the password."}
	case ok:
		return decision{delay: min(status.RetryAfter, maxAskedDelay) + s.backoff(), next: "Try to sign in again later."}
	}
	return decision{delay: s.backoff(), next: "Try to sign in again later."}
}

// isTransient reports whether a status below 500 asks for another attempt (RFC 9110
// §15.5.9, RFC 8470, RFC 6585).
func isTransient(status int) bool {
	return status == http.StatusRequestTimeout || status == http.StatusTooEarly || status == http.StatusTooManyRequests
}

func (s *Session) decideStatus(e *StatusError) decision {
	stop := func(next string) decision { return decision{stop: true, next: next} }
	switch {
	case e.Status >= 500 || isTransient(e.Status):
		return decision{delay: min(e.RetryAfter, maxAskedDelay) + s.backoff(), next: "The server or a proxy in front of it accepts no handshakes now: try again later."}
	case e.Status == http.StatusForbidden:
		return stop("The Origin is not on the server's list, or a proxy refused the request.")
	case e.Status == http.StatusNotFound:
		return stop("Check the path: the server has /ws/test/, /ws/chat/{customer_id}/{therapist_id}/ and /ws/location/{customer_id}/{therapist_id}/.")
	case e.Status == http.StatusUpgradeRequired:
		return stop("The server did not receive the upgrade: a proxy does not forward the headers Upgrade and Connection.")
	case e.Status >= 300 && e.Status < 400:
		return stop("WebSocket clients do not follow redirects: use the address " + e.Header.Get("Location") + " with ws:// or wss://.")
	default:
		return stop("Correct the request, or check the proxies in front of the server.")
	}
}

// decideClose is the table of close codes. renewed says that the last attempt was refused because
// of its token too.
func (s *Session) decideClose(c *CloseError, renewed bool) decision {
	code, reason := c.Code, c.Reason
	if !c.Clean && c.AnnouncedCode != 0 {
		code, reason = c.AnnouncedCode, c.AnnouncedReason // the Close frame itself was lost
	}
	code = frame.StandardCode(code)
	_, todo := explainClose(code, reason)
	after := min(c.ReconnectAfter, maxAskedDelay)
	switch code {
	case frame.CodeNormal, frame.CodeProtocol, frame.CodeUnsupported, frame.CodeInvalidData, 1010,
		frame.CodeParameters, frame.CodeForbidden:
		return decision{stop: true, next: todo}
	case frame.CodeIdentity:
		return s.decideIdentity(reason, todo, renewed)
	case frame.CodePolicy:
		return decision{delay: policyDelay, next: todo}
	case frame.CodeTooBig:
		if p := s.outbox.largestSent(); p != nil {
			s.dropMessage(c.Ref, p.id, errors.New("too_large: the message is larger than the server's limit"))
		}
		return decision{delay: s.backoff(), next: todo}
	case frame.CodeRestart:
		return s.decideReconnect(c.ReconnectAsked, after, todo)
	case frame.CodeTryLater:
		return decision{delay: max(after, s.backoff()), next: todo}
	case CodeAbnormal:
		if c.ReconnectAsked {
			return s.decideReconnect(true, after, resumeAsked)
		}
	}
	if code >= 3000 {
		return decision{stop: true, next: todo}
	}
	return decision{delay: s.backoff(), next: todo}
}

// decideReconnect uses the delay that a reconnect frame asked for without jitter, since the
// server has already spread its clients.
func (s *Session) decideReconnect(asked bool, after time.Duration, todo string) decision {
	if asked && (after > 0 || s.failures == 0) {
		return decision{delay: after, next: todo}
	}
	return decision{delay: s.backoff(), next: todo}
}

// decideIdentity gets a new token once. If the server refuses that one too, the token is
// not the problem.
func (s *Session) decideIdentity(reason, todo string, renewed bool) decision {
	switch {
	case reason == "user_inactive", s.staticToken:
		return decision{stop: true, next: todo}
	case renewed:
		return decision{stop: true, next: "The server refused a new token as well: look up the reference on the server."}
	}
	s.tokenRenewed = true
	s.token.markRefused()
	d := decision{next: todo}
	if s.failures > 0 {
		d.delay = s.backoff()
	}
	return d
}

// refOf returns the reference in the error of an attempt, if there is one.
func refOf(err error) string {
	if c, ok := errors.AsType[*CloseError](err); ok {
		return c.Ref
	}
	if e, ok := errors.AsType[*StatusError](err); ok {
		return e.Ref
	}
	return ""
}
