package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

// MinSecret is the minimum length of an HS256 secret in bytes (RFC 7518 §3.2).
const MinSecret = 32

// Keys verifies tokens with any of its keys and signs them with the first one. Its own keys
// are HS256 secrets, which a [SecretFile] can replace; a [JWKS] can add public keys. Keys is
// safe for concurrent use. Printing it shows no secret.
type Keys struct {
	secrets *atomic.Pointer[[]key] // shared with the Keys that WithJWKS returns; may be nil
	jwks    *JWKS                  // may be nil
	hints   *rate.Limiter          // of [Keys.suspect]; nil if there are no own keys
}

// own returns the current own keys. They can change between two calls.
func (k *Keys) own() []key {
	if k.secrets == nil {
		return nil
	}
	return *k.secrets.Load()
}

// WithJWKS returns keys that also accept access tokens signed by a key of j. Refresh tokens
// are accepted from the own keys only, because their issuer must keep track of them.
func (k *Keys) WithJWKS(j *JWKS) *Keys {
	if j.o.Source == "" {
		return k
	}
	return &Keys{k.secrets, j, k.hints}
}

// A key verifies one algorithm, whatever a token's header asks for, which prevents algorithm
// confusion (RFC 8725 §3.1).
type key struct {
	id     string // the kid; empty if the key has none
	method jwt.SigningMethod
	verify any
	sign   any    // nil for a public key
	header string // encoded header of the tokens that this key signs
}

// NewKeys returns keys without key ids from HS256 secrets of at least [MinSecret] bytes. A
// secret is taken as it is. The first one signs.
func NewKeys(secrets []string) (*Keys, error) {
	named := make([]Secret, len(secrets))
	for i, s := range secrets {
		named[i].Text = s
	}
	return newNamedKeys(named)
}

func newNamedKeys(secrets []Secret) (*Keys, error) {
	if len(secrets) == 0 {
		return nil, errors.New("no JWT secret is given")
	}
	all := make([]key, 0, len(secrets))
	for i, s := range secrets {
		switch {
		case len(s.Text) < MinSecret:
			return nil, fmt.Errorf("JWT secret %d has %d bytes; HS256 needs %d or more", i+1, len(s.Text), MinSecret)
		case s.ID != "" && !isKeyID(s.ID):
			return nil, fmt.Errorf("the kid of JWT secret %d is not 1 to 64 letters, digits, dots, dashes and underscores", i+1)
		}
		for j, other := range all {
			if s.ID != "" && other.id == s.ID {
				return nil, fmt.Errorf("JWT secrets %d and %d have the same kid", j+1, i+1)
			}
			if bytes.Equal(other.verify.([]byte), []byte(s.Text)) {
				return nil, fmt.Errorf("JWT secrets %d and %d are the same", j+1, i+1)
			}
		}
		all = append(all, key{
			id: s.ID, method: jwt.SigningMethodHS256, verify: []byte(s.Text), sign: []byte(s.Text),
			header: encodeHeader(jwt.SigningMethodHS256.Alg(), s.ID),
		})
	}
	k := &Keys{secrets: new(atomic.Pointer[[]key]), hints: newHintLimiter()}
	k.secrets.Store(&all)
	return k, nil
}

func isKeyID(s string) bool {
	for i := range len(s) {
		if !isBase64URL(s[i]) && s[i] != '.' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// encodeHeader returns the encoded header of a token. The members have the order of PyJWT, so
// that tokens of a Django with the same key have the same header, byte for byte. Nothing
// needs escaping in a kid.
func encodeHeader(alg, id string) string {
	if id != "" {
		id = `"kid":"` + id + `",`
	}
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"` + alg + `",` + id + `"typ":"JWT"}`))
}

// Format prints the number of keys for every verb, so that no secret can be printed.
func (k Keys) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "%d keys", len(k.own())) }

// IDs returns the kids of the own keys in their order. A key without a kid has "".
func (k *Keys) IDs() []string {
	own := k.own()
	ids := make([]string, len(own))
	for i := range own {
		ids[i] = own[i].id
	}
	return ids
}

// verifySignature verifies the signature sig of the text signed. The algorithm is checked
// before the signature. If the token names an unknown key the JWKS is refreshed once.
func (k *Keys) verifySignature(h header, signed string, sig []byte, ownOnly bool) (fromJWKS bool, _ *Refusal) {
	fromJWKS, refusal := k.findKey(h, signed, sig, ownOnly)
	if refusal != nil && refusal.Word == "unknown_key" && !ownOnly && k.jwks != nil && k.jwks.refreshForUnknownKey() {
		return k.findKey(h, signed, sig, ownOnly)
	}
	return fromJWKS, refusal
}

func (k *Keys) findKey(h header, signed string, sig []byte, ownOnly bool) (fromJWKS bool, _ *Refusal) {
	var set []key
	if k.jwks != nil && !ownOnly {
		set = *k.jwks.keys.Load()
	}
	own := k.own()
	known := h.kid != "" && (hasKeyID(own, h.kid) || hasKeyID(set, h.kid))
	tried, algorithms := false, "HS256"
	for i := range own {
		candidate := &own[i]
		if known && candidate.id != h.kid || candidate.method.Alg() != h.alg {
			continue
		}
		tried = true
		if candidate.method.Verify(signed, sig, candidate.verify) == nil {
			return false, nil
		}
	}
	for i := range set {
		candidate := &set[i]
		if alg := candidate.method.Alg(); !strings.Contains(algorithms, alg) {
			algorithms += ", " + alg
		}
		if candidate.method.Alg() != h.alg {
			continue
		}
		tried = true
		// Verifying with a public key is slow, so it is not tried for an unknown kid.
		if (h.kid == "" || candidate.id == "" && !known || candidate.id == h.kid) && candidate.method.Verify(signed, sig, candidate.verify) == nil {
			return true, nil
		}
	}
	switch {
	case h.kid != "" && !known && (tried || k.jwks != nil && !ownOnly && isPublic(h.alg)):
		return false, invalid("unknown_key", "The token names the key "+printable(h.kid)+", which is unknown, and no other key matches.")
	case !tried:
		return false, invalid("wrong_algorithm", "The token's algorithm is "+printable(h.alg)+"; accepted: "+algorithms+".")
	default:
		return false, invalid("bad_signature", "The token's signature does not fit: it was signed with another secret, or was changed.")
	}
}

// isPublic reports whether alg is an algorithm that a JWKS can have keys for.
func isPublic(alg string) bool { return alg == "RS256" || alg == "ES256" || alg == "EdDSA" }

func hasKeyID(keys []key, id string) bool {
	return slices.ContainsFunc(keys, func(k key) bool { return k.id == id })
}

// Pseudonym returns a keyed hash that replaces a text which must not be stored. It is the
// same on all replicas with the same first secret, and cannot be guessed without the secret.
// Different purposes have different pseudonyms.
func (k *Keys) Pseudonym(purpose, text string) string {
	return k.own()[0].hash(purpose+"\x00"+text, 16)
}

// Fingerprints returns a fingerprint of each own key, in their order; the first key signs. Two
// keys are equal if their fingerprints are. A fingerprint reveals no more of a secret than
// a token that it has signed.
func (k *Keys) Fingerprints() []string {
	own := k.own()
	prints := make([]string, len(own))
	for i := range own {
		prints[i] = own[i].hash("roomspa fingerprint of a key\x00", 8)
	}
	return prints
}

// hash returns the first size bytes of the HMAC of text in hexadecimal. text must contain a
// NUL, so that it cannot be the text of a token. The key must be an own key.
func (k *key) hash(text string, size int) string {
	secret, ok := k.sign.([]byte)
	if !ok {
		panic("the own keys are HS256 secrets")
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil)[:size])
}

// printable returns word, which comes from an untrusted header, if it is safe to log.
func printable(word string) string {
	if isKeyID(word) {
		return word
	}
	return "unreadable"
}
