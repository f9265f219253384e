package auth

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// Subprotocol is the WebSocket subprotocol for tokens, in any case. The client offers it followed
// by the token as a second subprotocol; the server accepts only the first.
const Subprotocol = "bearer"

// maxProtocol is the maximum length of a subprotocol that [AcceptProtocol] returns.
const maxProtocol = 24

// AcceptProtocol returns the subprotocol to accept, or "" for none: bearer if it is offered, else
// the first one that cannot be a token. Browsers fail a handshake in which they offered
// subprotocols and none was accepted, and show the page neither a frame nor a close code. So any
// offer that can be accepted is.
func AcceptProtocol(r *http.Request) (accept string) {
	eachSubprotocol(r, func(protocol, _ string) {
		switch {
		case strings.EqualFold(accept, Subprotocol):
		case strings.EqualFold(protocol, Subprotocol):
			accept = protocol
		case accept == "" && len(protocol) <= maxProtocol && !strings.Contains(protocol, "."):
			accept = protocol
		}
	})
	return accept
}

// FromRequest returns the token of a request: from the WebSocket subprotocols "bearer" and
// "<token>", in either order (with which browsers keep the token out of access logs), from the header
// Authorization: Bearer (RFC 6750 §2.1), or from the query parameter token. In the header the
// schemes JWT and Token, which some libraries use, mean the same, and so does a JWT without a
// scheme. The same token may come more than once; two different ones are refused. The error is a
// *[Refusal].
func FromRequest(r *http.Request) (string, error) {
	var found single
	before := "" // a token that comes before its bearer
	eachSubprotocol(r, func(protocol, next string) {
		switch {
		case strings.EqualFold(protocol, Subprotocol) && (before == "" || looksLikeJWT(next)):
			found.add(next)
		case strings.EqualFold(next, Subprotocol) && looksLikeJWT(protocol):
			before = protocol
		}
	})
	if found.token == "" {
		found.add(before)
	}
	other := "" // scheme of the header
	for _, line := range r.Header["Authorization"] {
		token, scheme := fromAuthorization(line)
		found.add(token)
		other = cmp.Or(other, scheme)
	}
	if r.URL != nil && r.URL.RawQuery != "" {
		for _, token := range Query(r.URL.RawQuery)["token"] {
			found.add(token)
		}
	}
	switch {
	case found.conflict:
		return "", twoTokens()
	case found.token == "":
		refusal := tokenMissing(other)
		if where := misplaced(r); where != "" {
			_, advice, _ := strings.Cut(refusal.Detail, ": ")
			refusal.Detail = "A token came " + where + ": " + advice
		}
		return "", refusal
	}
	return found.token, nil
}

// looksLikeJWT reports whether a text may be a JWT: its header is a JSON object.
func looksLikeJWT(text string) bool {
	return strings.HasPrefix(text, "eyJ") && strings.Count(text, ".") == 2
}

// misplaced returns where a request has a token that nobody looks for, or "". It never returns a
// part of the token.
func misplaced(r *http.Request) (where string) {
	eachSubprotocol(r, func(protocol, _ string) {
		if looksLikeJWT(protocol) {
			where = `among the WebSocket subprotocols, without "bearer" before it`
		}
	})
	if r.URL != nil && where == "" {
		for name, values := range Query(r.URL.RawQuery) {
			if slices.ContainsFunc(values, looksLikeJWT) {
				where = "in the query parameter " + shortName(name)
			}
		}
	}
	for _, cookie := range r.Cookies() {
		if where == "" && looksLikeJWT(cookie.Value) {
			where = "in the cookie " + shortName(cookie.Name)
		}
	}
	for name, values := range r.Header {
		if where == "" && slices.ContainsFunc(values, func(v string) bool { return looksLikeJWT(strings.TrimPrefix(v, "Bearer ")) }) {
			where = "in the header " + shortName(name)
		}
	}
	return where
}

// shortName returns a name that a client chose, if it is short and plain.
func shortName(name string) string {
	odd := func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsLetter(r) && r != '-' && r != '_' }
	if len(name) > 32 || strings.ContainsFunc(name, odd) {
		return "of another name"
	}
	return name
}

// fromAuthorization returns the token of an Authorization header, or the scheme if that is not one
// for tokens. It never returns a part of a token as a scheme.
func fromAuthorization(line string) (token, otherScheme string) {
	scheme, rest, hasScheme := strings.Cut(strings.TrimSpace(line), " ")
	switch {
	case !hasScheme && strings.Count(scheme, ".") == 2:
		return scheme, "" // a JWT alone
	case strings.EqualFold(scheme, "Bearer"), strings.EqualFold(scheme, "JWT"), strings.EqualFold(scheme, "Token"): // RFC 9110 §11.1: in any case
		return strings.TrimSpace(rest), ""
	case !hasScheme, len(scheme) > 16, strings.ContainsFunc(scheme, func(r rune) bool { return !unicode.IsLetter(r) && r != '-' }):
		return "", "none"
	}
	return "", scheme
}

// Query parses a query string. It keeps names and values that cannot be decoded as they are,
// unlike the standard library, which drops them: a malformed value must not look like an
// absent one.
func Query(raw string) url.Values {
	decode := func(s string) string {
		if decoded, err := url.QueryUnescape(s); err == nil {
			return decoded
		}
		return s
	}
	q := url.Values{}
	for pair := range strings.SplitSeq(raw, "&") {
		if key, value, _ := strings.Cut(pair, "="); pair != "" {
			q.Add(decode(key), decode(value))
		}
	}
	return q
}

// TicketFromRequest returns the query parameter ticket, or "" if there is none. The error is a
// *[Refusal].
func TicketFromRequest(r *http.Request) (string, error) {
	var found single
	if r.URL != nil && r.URL.RawQuery != "" {
		for _, ticket := range Query(r.URL.RawQuery)["ticket"] {
			found.add(ticket)
		}
	}
	if found.conflict {
		return "", twoTokens()
	}
	return found.token, nil
}

// CheckSameUser returns a *[Refusal] if a ticket and a token of one request belong to different
// users.
func CheckSameUser(ticket, token Claims) error {
	if ticket.UserID != token.UserID {
		return twoTokens()
	}
	return nil
}

// BadTicket returns the refusal of an unknown ticket. It was never issued, was used before, or
// has expired; these cases cannot be told apart.
func BadTicket() *Refusal {
	return invalid("bad_ticket", "The ticket is unknown. A ticket can be used once within 30 s; get a new one.")
}

func twoTokens() *Refusal {
	return invalid("two_tokens", "Two different tokens came with the request; send one.")
}

// eachSubprotocol calls f with each subprotocol and its successor, or "" for the last one. The
// subprotocols may be spread over several header lines (RFC 6455 §4.1, item 10).
func eachSubprotocol(r *http.Request, f func(protocol, next string)) {
	previous, first := "", true
	for _, line := range r.Header["Sec-Websocket-Protocol"] {
		for protocol := range strings.SplitSeq(line, ",") {
			protocol = strings.Trim(protocol, " \t")
			if protocol == "" { // RFC 9110 §5.6.1.2: empty elements are ignored
				continue
			}
			if !first {
				f(previous, protocol)
			}
			previous, first = protocol, false
		}
	}
	if !first {
		f(previous, "")
	}
}

// A single collects values that must all be the same. Empty values are ignored.
type single struct {
	token    string
	conflict bool // two different values were added
}

func (s *single) add(token string) {
	switch {
	case token == "" || token == s.token:
	case s.token == "":
		s.token = token
	default:
		s.conflict = true
	}
}
