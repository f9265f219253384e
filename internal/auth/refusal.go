package auth

import (
	"cmp"

	"github.com/roomspa/roomspa/internal/room"
)

// The close reasons of refused tokens.
const (
	TokenMissing = "token_missing"
	TokenInvalid = "token_invalid"
	TokenExpired = "token_expired"
)

// A Refusal is the error of a token that was refused. It never contains the token, nor any
// part of it except the name of its algorithm or key.
type Refusal struct {
	Reason string // token_missing, token_invalid or token_expired
	Word   string // the sub-cause as a stable word
	Detail string // the sub-cause as a sentence
	// User is the user of a token that is valid except for its times; else 0, because
	// no other claim of a refused token can be trusted.
	User room.UserID
	// Refresh is set if a valid refresh token was sent instead of an access token.
	Refresh bool
	// Hint is what an operator may do about it, or "". It must not reach the client, since it tells
	// something of the server's secrets.
	Hint   string
	unread bool // the text is no JWT, and nobody has looked why
}

func (r *Refusal) Error() string { return r.Word + ": " + r.Detail }

// Report returns the sub-cause with the hint, or with the detail if there is none. It is for logs
// and stories.
func (r *Refusal) Report() string { return r.Word + ": " + cmp.Or(r.Hint, r.Detail) }

func invalid(word, detail string) *Refusal {
	return &Refusal{Reason: TokenInvalid, Word: word, Detail: detail}
}

// tokenMissing returns the refusal of a request without a token. otherScheme is that of its
// Authorization header, or empty if it has none.
func tokenMissing(otherScheme string) *Refusal {
	missing := "No token came with the request: "
	switch otherScheme {
	case "":
	case "none":
		missing = "The Authorization header has no scheme and no token that can be read: "
	default:
		missing = "The Authorization header has the scheme " + otherScheme + ", which is not Bearer: "
	}
	return &Refusal{Reason: TokenMissing, Word: "missing", Detail: missing +
		`send it as the WebSocket subprotocols "bearer" and the token, as Authorization: Bearer, or as ?token=.`}
}
