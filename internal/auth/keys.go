package auth

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/golang-jwt/jwt/v5"
)

// MinSecret is the least length of an HS256 secret in bytes: that of the hash
// (RFC 7518 §3.2).
const MinSecret = 32

// Keys verifies tokens with any of its keys, and signs with the first. A
// [SecretFile] replaces its own, and a [JWKS] those beside them; it is safe for
// concurrent use, and it prints no secret.
type Keys struct {
	own  *atomic.Pointer[[]key] // shared with those that With returns; nil for none
	jwks *JWKS                  // nil where there are none but the own keys
}

// all returns the own keys as they are now. Who needs several of them asks once.
func (k *Keys) all() []key {
	if k.own == nil {
		return nil
	}
	return *k.own.Load()
}

// With returns keys that accept the access tokens of a key set too. Refresh tokens
// stay a matter of the own keys: whoever mints them has to know what became of
// them.
func (k *Keys) With(j *JWKS) *Keys {
	if j.o.Source == "" {
		return k
	}
	return &Keys{k.own, j}
}

// A key is good for one algorithm, whatever a token's header asks for: that
// closes the confusion of algorithms (RFC 8725 §3.1). A public key of another
// algorithm would be one more of these, without sign.
type key struct {
	id     string // the kid; empty if the key has none
	method jwt.SigningMethod
	verify any
	sign   any
	header string // of the tokens that this key signs, encoded
}

// NewKeys reads HS256 secrets of 32 bytes or more, each as secret or kid=secret;
// the first one signs. A kid is 1 to 64 letters, digits, dots, dashes and
// underscores. A secret that has such a beginning and a "=" of its own is written
// with a "=" in front, so that its beginning is not taken for a kid and published
// in the header of each token.
func NewKeys(secrets []string) (*Keys, error) {
	if len(secrets) == 0 {
		return nil, errors.New("no JWT secret is given")
	}
	all := make([]key, 0, len(secrets))
	for i, s := range secrets {
		id, secret := splitSecret(s)
		if len(secret) < MinSecret {
			return nil, fmt.Errorf("JWT secret %d has %d bytes; HS256 needs %d or more", i+1, len(secret), MinSecret)
		}
		for j, other := range all {
			if id != "" && other.id == id {
				return nil, fmt.Errorf("JWT secrets %d and %d have the same kid", j+1, i+1)
			}
			if bytes.Equal(other.verify.([]byte), []byte(secret)) {
				return nil, fmt.Errorf("JWT secrets %d and %d are the same", j+1, i+1)
			}
		}
		all = append(all, key{
			id: id, method: jwt.SigningMethodHS256, verify: []byte(secret), sign: []byte(secret),
			header: encodeHeader(jwt.SigningMethodHS256.Alg(), id),
		})
	}
	k := &Keys{own: new(atomic.Pointer[[]key])}
	k.own.Store(&all)
	return k, nil
}

// splitSecret takes "kid=secret" apart. The padding of a base64 secret is no
// secret, and what cannot be a kid belongs to the secret.
func splitSecret(s string) (id, secret string) {
	id, secret, found := strings.Cut(s, "=")
	if !found || strings.Trim(secret, "=") == "" || (id != "" && !isKeyID(id)) {
		return "", s
	}
	return id, secret
}

func isKeyID(s string) bool {
	for i := range len(s) {
		if !isBase64URL(s[i]) && s[i] != '.' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// encodeHeader needs no escaping: both words have letters, digits, dots, dashes
// and underscores only. The order is that of PyJWT, so that the tokens of a
// Django that shares the key have the same header, byte for byte.
func encodeHeader(alg, id string) string {
	if id != "" {
		id = `"kid":"` + id + `",`
	}
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"` + alg + `",` + id + `"typ":"JWT"}`))
}

// Format says how many keys there are, whatever the verb: it keeps the secrets
// out of anything that prints the Keys.
func (k Keys) Format(s fmt.State, _ rune) { fmt.Fprintf(s, "%d keys", len(k.all())) }

// IDs returns the kids in the order of the keys, "" for a key without one.
func (k *Keys) IDs() []string {
	own := k.all()
	ids := make([]string, len(own))
	for i := range own {
		ids[i] = own[i].id
	}
	return ids
}

// check finds the key by which sig signs what is signed, among all keys or the own
// ones. The algorithm is judged first, then the signature: what else a token says
// is worth nothing before. theirs says that it is a key of the key set.
func (k *Keys) check(h header, signed string, sig []byte, own bool) (theirs bool, _ *Refusal) {
	theirs, refusal := k.find(h, signed, sig, own)
	if refusal != nil && refusal.Word == "unknown_key" && !own && k.jwks != nil && k.jwks.ask() {
		return k.find(h, signed, sig, own)
	}
	return theirs, refusal
}

func (k *Keys) find(h header, signed string, sig []byte, own bool) (theirs bool, _ *Refusal) {
	var set []key
	if k.jwks != nil && !own {
		set = *k.jwks.keys.Load()
	}
	mine := k.all()
	known := h.kid != "" && (has(mine, h.kid) || has(set, h.kid))
	tried, algorithms := false, "HS256"
	for i := range mine {
		candidate := &mine[i]
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
		// Public keys take longer, so a kid that none of them has is not tried.
		if (h.kid == "" || candidate.id == "" && !known || candidate.id == h.kid) && candidate.method.Verify(signed, sig, candidate.verify) == nil {
			return true, nil
		}
	}
	switch {
	case h.kid != "" && !known && (tried || k.jwks != nil && !own && isPublic(h.alg)):
		return false, invalid("unknown_key", "The token names the key "+quotable(h.kid)+", which is not known here, and no other key fits.")
	case !tried:
		return false, invalid("wrong_algorithm", "The token's algorithm is "+quotable(h.alg)+"; accepted: "+algorithms+".")
	default:
		return false, invalid("bad_signature", "The token's signature does not fit: it was signed with another secret, or was changed.")
	}
}

// isPublic reports whether a key set may have keys of an algorithm, though it has
// none now.
func isPublic(alg string) bool { return alg == "RS256" || alg == "ES256" || alg == "EdDSA" }

func has(keys []key, id string) bool {
	for i := range keys {
		if keys[i].id == id {
			return true
		}
	}
	return false
}

// Pseudonym returns a stand-in for a text that is not to be kept as it is, for a
// purpose: equal texts have equal ones on all replicas that sign with the same
// secret, and who does not know the secret cannot try texts out.
func (k *Keys) Pseudonym(purpose, text string) string {
	secret, ok := k.all()[0].sign.([]byte)
	if !ok {
		panic("the first key is an HS256 secret")
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(purpose + "\x00" + text)) // with a NUL, which no token has
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// Fingerprints returns one for each of the own keys, in their order: that of the key
// which signs comes first. Equal keys have equal ones on all replicas. They tell no
// more of a secret than a token does that it has signed, and are good for comparing.
func (k *Keys) Fingerprints() []string {
	own := k.all()
	prints := make([]string, len(own))
	for i := range own {
		secret, ok := own[i].sign.([]byte)
		if !ok {
			panic("the own keys are HS256 secrets")
		}
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte("roomspa fingerprint of a key\x00")) // with a NUL, which no token has
		prints[i] = hex.EncodeToString(mac.Sum(nil)[:8])
	}
	return prints
}

// quotable returns a word of an untrusted header if it is fit for a log line.
func quotable(word string) string {
	if isKeyID(word) {
		return word
	}
	return "unreadable"
}
