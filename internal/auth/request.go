package auth

import (
	"net/http"
	"net/url"
	"strings"
)

// Subprotocol is the WebSocket subprotocol for tokens. The client offers it followed by the
// token as a second subprotocol; the server accepts only the first.
const Subprotocol = "bearer"

// FromRequest returns the token of a request: from the WebSocket subprotocols "bearer" and
// "<token>" (with which browsers keep the token out of access logs), from the header
// Authorization: Bearer (RFC 6750 §2.1), or from the query parameter token. The same token may
// come more than once; two different ones are refused. The error is a *[Refusal].
func FromRequest(r *http.Request) (string, error) {
	var found single
	eachSubprotocol(r, func(protocol, next string) {
		if protocol == Subprotocol {
			found.add(next)
		}
	})
	for _, line := range r.Header["Authorization"] {
		// RFC 9110 §11.1: the scheme is case-insensitive.
		scheme, token, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.EqualFold(scheme, "Bearer") {
			found.add(strings.TrimSpace(token))
		}
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
		return "", tokenMissing()
	}
	return found.token, nil
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
