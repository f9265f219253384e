package auth

import "github.com/roomspa/roomspa/internal/room"

// The reasons by which a token is refused, as they stand in a close reason.
const (
	TokenMissing = "token_missing"
	TokenInvalid = "token_invalid"
	TokenExpired = "token_expired"
)

// A Refusal is the error of a token that is not accepted. It never holds the
// token, nor any part of one but an algorithm's or a key's name.
type Refusal struct {
	Reason string // token_missing, token_invalid or token_expired
	Word   string // the stable word of the sub-cause
	Detail string // the sub-cause in a sentence
	// User is whose token it is, where its signature is good and only its time is not
	// now; 0 otherwise: what else a token says is worth nothing.
	User room.UserID
}

func (r *Refusal) Error() string { return r.Word + ": " + r.Detail }

func invalid(word, detail string) *Refusal {
	return &Refusal{Reason: TokenInvalid, Word: word, Detail: detail}
}

func missing() *Refusal {
	return &Refusal{Reason: TokenMissing, Word: "missing", Detail: "No token came with the request: " +
		`send it as the WebSocket subprotocols "bearer" and the token, as Authorization: Bearer, or as ?token=.`}
}
