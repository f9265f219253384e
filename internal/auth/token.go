package auth

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/roomspa/roomspa/internal/room"
)

// MaxToken is the largest token that is looked at, in bytes: many times the size
// of one, and the most that header lines commonly carry.
const MaxToken = 8 << 10

// Leeway is how far the clock of the one who signed may be off (RFC 7519 §4.1.4).
const Leeway = 5 * time.Second

// Claims is what a good token says.
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
	if token == "" {
		return Claims{}, missing()
	}
	set, theirs, refusal := k.open(token, false)
	if refusal != nil {
		return Claims{}, refusal
	}
	if theirs {
		if refusal := k.jwks.meantForUs(set); refusal != nil {
			return Claims{}, refusal
		}
	}
	claims, refusal := readClaims(set, Access, now)
	if refusal != nil {
		return Claims{}, refusal
	}
	return claims, nil
}

// VerifyRefresh accepts a refresh token that one of the own keys has signed, with
// a jti. The tokens that come out of one sign-in carry the jti of the first as
// their family, a claim that SimpleJWT does not know: without it a token is the
// first of its own. The error is a *[Refusal].
func (k *Keys) VerifyRefresh(token string, now time.Time) (room.Refresh, error) {
	set, _, refusal := k.open(token, true)
	if refusal != nil {
		return room.Refresh{}, refusal
	}
	c, refusal := readClaims(set, Refresh, now)
	if refusal != nil {
		return room.Refresh{}, refusal
	}
	r := room.Refresh{Family: c.ID, ID: c.ID, User: c.UserID, IssuedAt: c.IssuedAt, ExpiresAt: c.ExpiresAt}
	if family := set["family"]; family != nil {
		r.Family, _ = unquote(family)
	}
	if !isTokenID(r.ID) || !isTokenID(r.Family) {
		return room.Refresh{}, invalid("bad_jti", "A refresh token needs a jti of 1 to 64 characters, and so does its family.")
	}
	return r, nil
}

// isTokenID reports whether a jti can be kept: SimpleJWT makes 32 hexadecimal digits.
func isTokenID(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == utf8.RuneError })
}

// open verifies a token's form and signature, and takes its claims apart.
func (k *Keys) open(token string, own bool) (set claimSet, theirs bool, _ *Refusal) {
	if len(token) > MaxToken {
		return set, false, invalid("too_long", "The token has more than "+strconv.Itoa(MaxToken)+" bytes.")
	}
	head, payload, sig, refusal := split(token)
	if refusal != nil {
		return set, false, refusal
	}
	h, refusal := k.readHeader(head)
	if refusal != nil {
		return set, false, refusal
	}
	// A signature that cannot be decoded, or only loosely, fits nothing.
	signature, err := strict.DecodeString(sig)
	if err != nil {
		signature = nil
	}
	theirs, refusal = k.check(h, token[:len(head)+1+len(payload)], signature, own)
	if refusal != nil {
		return set, false, refusal
	}
	decoded, err := strict.DecodeString(payload)
	if err != nil {
		return set, false, invalid("malformed", "The token's claims are not base64url.")
	}
	set, ok := decodeClaims(decoded)
	if !ok {
		return set, false, invalid("malformed", "The token's claims are not a JSON object.")
	}
	return set, theirs, nil
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
	own := k.all()
	for i := range own {
		if own[i].header == encoded {
			return header{own[i].method.Alg(), own[i].id}, nil
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
