package auth

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

// MaxToken is the largest token that is looked at, in bytes: many times the size
// of one, and the most that header lines commonly carry.
const MaxToken = 8 << 10

// Leeway is how far the clock of the one who signed may be off (RFC 7519 §4.1.4).
const Leeway = 5 * time.Second

// Claims is what a good access token says.
type Claims struct {
	UserID    room.UserID
	IssuedAt  time.Time // zero if the token does not say
	ExpiresAt time.Time
	ID        string // the jti; empty if the token has none
}

// Verify accepts an access token as Django SimpleJWT mints it: a JWS in compact
// form (RFC 7515 §7.1) that one of the keys has signed, with token_type "access",
// user_id and exp. The error is a *[Refusal]. It is safe for concurrent use.
//
// The library's parser is not used for this: it reads the claims before it has
// verified the signature, and so tells the sender of a forged token about them.
func (k *Keys) Verify(token string, now time.Time) (Claims, error) {
	claims, refusal := k.verify(token, now)
	if refusal != nil {
		return Claims{}, refusal
	}
	return claims, nil
}

func (k *Keys) verify(token string, now time.Time) (Claims, *Refusal) {
	if token == "" {
		return Claims{}, missing()
	}
	if len(token) > MaxToken {
		return Claims{}, invalid("too_long", "The token has more than "+strconv.Itoa(MaxToken)+" bytes.")
	}
	head, payload, sig, refusal := split(token)
	if refusal != nil {
		return Claims{}, refusal
	}
	h, refusal := k.readHeader(head)
	if refusal != nil {
		return Claims{}, refusal
	}
	// A signature that cannot be decoded, or only loosely, fits nothing.
	signature, err := strict.DecodeString(sig)
	if err != nil {
		signature = nil
	}
	if refusal := k.check(h, token[:len(head)+1+len(payload)], signature); refusal != nil {
		return Claims{}, refusal
	}
	decoded, err := strict.DecodeString(payload)
	if err != nil {
		return Claims{}, invalid("malformed", "The token's claims are not base64url.")
	}
	return readClaims(decoded, now)
}

// strict refuses trailing bits, of which a decoder may otherwise take several
// forms of one token (RFC 4648 §3.5).
var strict = base64.RawURLEncoding.Strict()

// split takes the token apart at its dots. Other bytes than those of base64url
// are refused here, since Go's decoder would skip line breaks.
func split(token string) (head, payload, sig string, _ *Refusal) {
	for i := range len(token) {
		if !isBase64URL(token[i]) && token[i] != '.' {
			return "", "", "", invalid("malformed", "The token has a character that no JWT has, at byte "+strconv.Itoa(i+1)+".")
		}
	}
	if n := strings.Count(token, ".") + 1; n != 3 {
		return "", "", "", invalid("malformed", "The token has "+strconv.Itoa(n)+" part(s); a JWT has three, with dots between them.")
	}
	head, rest, _ := strings.Cut(token, ".")
	payload, sig, _ = strings.Cut(rest, ".")
	return head, payload, sig, nil
}

func isBase64URL(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// A header is what counts of a token's header.
type header struct{ alg, kid string }

func (k *Keys) readHeader(encoded string) (header, *Refusal) {
	// Nearly every token has the header that one of the keys would give it.
	for i := range k.all {
		if k.all[i].header == encoded {
			return header{k.all[i].method.Alg(), k.all[i].id}, nil
		}
	}
	h, crit, ok := decodeHeader(encoded)
	if !ok {
		return header{}, invalid("malformed", "The token's header is not a JSON object with alg, encoded in base64url.")
	}
	if crit { // RFC 7515 §4.1.11: extensions that must be understood, and none is
		return header{}, invalid("malformed", "The token's header has crit, and no extension is known here.")
	}
	return h, nil
}

func decodeHeader(encoded string) (h header, crit, ok bool) {
	decoded, err := strict.DecodeString(encoded)
	if err != nil {
		return header{}, false, false
	}
	var fields struct {
		Alg  string          `json:"alg"`
		Kid  string          `json:"kid"`
		Crit json.RawMessage `json:"crit"`
	}
	if json.Unmarshal(decoded, &fields) != nil || fields.Alg == "" {
		return header{}, false, false
	}
	return header{fields.Alg, fields.Kid}, fields.Crit != nil, true
}
