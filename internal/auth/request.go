package auth

import (
	"net/http"
	"net/url"
	"strings"
)

// Subprotocol is the WebSocket subprotocol that announces a token: the client
// offers it with the token behind it, and the server answers with it alone.
const Subprotocol = "bearer"

// FromRequest returns the token that came with a request: from the WebSocket
// subprotocol pair "bearer", "<token>" (what browsers can do without leaving the
// token in access logs), else from Authorization: Bearer (RFC 6750 §2.1), else
// from ?token=. The same token may come twice; two different ones are refused,
// since nobody could say which was meant. The error is a *[Refusal].
func FromRequest(r *http.Request) (string, error) {
	var found one
	offered(r, func(protocol, next string) {
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
	case found.two:
		return "", twoTokens()
	case found.token == "":
		return "", missing()
	}
	return found.token, nil
}

// Query reads a query string, and keeps as it is what cannot be decoded. The library
// would leave it out: a bad value would then be none, and no one would hear of it.
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

// TicketFromRequest returns the ticket that came as ?ticket=, "" where none did.
// The error is a *[Refusal].
func TicketFromRequest(r *http.Request) (string, error) {
	var found one
	if r.URL != nil && r.URL.RawQuery != "" {
		for _, ticket := range Query(r.URL.RawQuery)["ticket"] {
			found.add(ticket)
		}
	}
	if found.two {
		return "", twoTokens()
	}
	return found.token, nil
}

// SameUser refuses a ticket and a token that came together and speak for two
// different users.
func SameUser(ticket, token Claims) error {
	if ticket.UserID != token.UserID {
		return twoTokens()
	}
	return nil
}

// BadTicket is the refusal of a ticket that is not known: it never was, was used
// before, or is too old; nobody can say which.
func BadTicket() *Refusal {
	return invalid("bad_ticket", "The ticket is not known: it is good once and for 30 s. Get a new one.")
}

func twoTokens() *Refusal {
	return invalid("two_tokens", "Two different tokens came with the request; send one.")
}

// OffersBearer reports whether the client offers the subprotocol "bearer", and
// so expects it in the answer: a browser fails a handshake none of whose
// protocols is taken.
func OffersBearer(r *http.Request) bool {
	offers := false
	offered(r, func(protocol, _ string) { offers = offers || protocol == Subprotocol })
	return offers
}

// offered calls f with each subprotocol and the one behind it. They may stand in
// several header lines (RFC 6455 §4.1, item 10).
func offered(r *http.Request, f func(protocol, next string)) {
	previous, first := "", true
	for _, line := range r.Header["Sec-Websocket-Protocol"] {
		for protocol := range strings.SplitSeq(line, ",") {
			protocol = strings.Trim(protocol, " \t")
			if protocol == "" { // RFC 9110 §5.6.1.2: empty elements do not count
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

// one is the only token among several places.
type one struct {
	token string
	two   bool
}

func (o *one) add(token string) {
	switch {
	case token == "" || token == o.token:
	case o.token == "":
		o.token = token
	default:
		o.two = true
	}
}
