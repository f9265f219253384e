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

// MaxToken is the maximum length of a token in bytes. Longer header lines are commonly
// refused by proxies.
const MaxToken = 8 << 10

// Leeway is the tolerated clock skew between the issuer and this server (RFC 7519 §4.1.4).
const Leeway = 5 * time.Second

// Claims holds the claims of a valid token.
type Claims struct {
	UserID    room.UserID
	IssuedAt  time.Time // zero if the token has no iat
	ExpiresAt time.Time
	ID        string // the jti; empty if the token has none
}

// Verify verifies an access token of the form that Django SimpleJWT mints: a JWS in compact
// form (RFC 7515 §7.1), signed by one of the keys, with token_type "access", user_id and exp.
// The error is a *[Refusal]. Verify is safe for concurrent use.
//
// It does not use the library's parser, which reads the claims before it verifies the
// signature (docs/adr/0009).
func (k *Keys) Verify(token string, now time.Time) (Claims, error) {
	if token == "" {
		return Claims{}, tokenMissing("")
	}
	c, refusal := k.verify(token, now)
	switch {
	case refusal == nil:
		return c, nil
	case refusal.unread:
		return Claims{}, k.explain(token, Access, now)
	}
	k.hint(refusal, token)
	return Claims{}, refusal
}

func (k *Keys) verify(token string, now time.Time) (Claims, *Refusal) {
	set, fromJWKS, refusal := k.parse(token, false)
	if refusal != nil {
		return Claims{}, refusal
	}
	if fromJWKS {
		if refusal := k.jwks.checkIssuerAndAudience(set); refusal != nil {
			return Claims{}, refusal
		}
	}
	return readClaims(set, Access, now)
}

// VerifyRefresh verifies a refresh token, which must have a jti and be signed by one of the
// own keys. All refresh tokens of one sign-in have the jti of the first one in the claim
// family, which SimpleJWT does not have. A token without it is the first of its family. The
// error is a *[Refusal].
func (k *Keys) VerifyRefresh(token string, now time.Time) (room.Refresh, error) {
	r, refusal := k.verifyRefresh(token, now)
	switch {
	case refusal == nil:
		return r, nil
	case refusal.unread:
		return room.Refresh{}, k.explain(token, Refresh, now)
	}
	k.hint(refusal, token)
	return room.Refresh{}, refusal
}

func (k *Keys) verifyRefresh(token string, now time.Time) (room.Refresh, *Refusal) {
	set, _, refusal := k.parse(token, true)
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
		return room.Refresh{}, invalid("bad_jti", "The jti and the family of a refresh token must have 1 to 64 characters.")
	}
	return r, nil
}

// isTokenID reports whether a jti can be stored. SimpleJWT mints 32 hexadecimal digits.
func isTokenID(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == utf8.RuneError })
}

// parse verifies the form and the signature of a token, and decodes its claims. ownOnly
// excludes the keys of the JWKS. fromJWKS is true if one of those has signed the token.
func (k *Keys) parse(token string, ownOnly bool) (set claimSet, fromJWKS bool, _ *Refusal) {
	if len(token) > MaxToken {
		return set, false, invalid("too_long", "The token has more than "+strconv.Itoa(MaxToken)+" bytes.")
	}
	head, payload, sig, refusal := splitToken(token)
	if refusal != nil {
		return set, false, refusal
	}
	h, refusal := k.readHeader(head)
	if refusal != nil {
		return set, false, refusal
	}
	// A signature that is not strict base64url matches no key.
	signature, err := strictBase64.DecodeString(sig)
	if err != nil {
		signature = nil
	}
	fromJWKS, refusal = k.verifySignature(h, token[:len(head)+1+len(payload)], signature, ownOnly)
	if refusal != nil {
		if text := cutOff(h, sig); text != "" && refusal.Word == "bad_signature" {
			refusal.Detail = text
		}
		return set, false, refusal
	}
	decoded, err := strictBase64.DecodeString(payload)
	if err != nil {
		return set, false, invalid("malformed", "The token's claims are not base64url.")
	}
	set, ok := decodeClaims(decoded)
	if !ok {
		return set, false, invalid("malformed", "The token's claims are not a JSON object.")
	}
	return set, fromJWKS, nil
}

// strictBase64 refuses non-zero trailing bits (RFC 4648 §3.5), so that each token has only
// one form.
var strictBase64 = base64.RawURLEncoding.Strict()

// splitToken splits a token at its dots. It refuses every byte that is not base64url, because
// Go's decoder skips line breaks. Such a refusal has no detail yet: see [Keys.explain].
func splitToken(token string) (head, payload, sig string, _ *Refusal) {
	for i := range len(token) {
		if !isBase64URL(token[i]) && token[i] != '.' {
			return "", "", "", unread()
		}
	}
	if strings.Count(token, ".") != 2 {
		return "", "", "", unread()
	}
	head, rest, _ := strings.Cut(token, ".")
	payload, sig, _ = strings.Cut(rest, ".")
	return head, payload, sig, nil
}

func unread() *Refusal {
	return &Refusal{Reason: TokenInvalid, Word: "malformed", Detail: "The token is not a JWT.", unread: true}
}

func isBase64URL(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// A header holds the members of a token's header that are used.
type header struct{ alg, kid string }

func (k *Keys) readHeader(encoded string) (header, *Refusal) {
	// Nearly every token has the same header as the tokens that roomspa mints.
	own := k.own()
	for i := range own {
		if own[i].header == encoded {
			return header{own[i].method.Alg(), own[i].id}, nil
		}
	}
	h, crit, ok := decodeHeader(encoded)
	if !ok {
		return header{}, unread()
	}
	if crit { // RFC 7515 §4.1.11: it lists extensions that the verifier must support
		return header{}, invalid("malformed", "The token's header has crit, but no extensions are supported.")
	}
	return h, nil
}

func decodeHeader(encoded string) (h header, crit, ok bool) {
	decoded, err := strictBase64.DecodeString(encoded)
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
