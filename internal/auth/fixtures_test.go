package auth_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
)

// The secrets of these tests sign nothing else.
const (
	secretA = "a-secret-of-the-tests-and-of-nothing-else"
	secretB = "another-secret-of-the-tests-and-nothing-else"
	secretC = "a-third-secret-that-none-of-the-keys-here-has"
)

// noon is when the tests take place.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func newKeys(tb testing.TB, secrets ...string) *auth.Keys {
	tb.Helper()
	keys, err := auth.NewKeys(secrets)
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

// namedKeys returns keys of pairs of a kid, which may be empty, and a secret.
func namedKeys(tb testing.TB, pairs ...string) *auth.Keys {
	tb.Helper()
	var secrets []auth.Secret
	for i := 0; i < len(pairs); i += 2 {
		secrets = append(secrets, auth.Secret{ID: pairs[i], Text: pairs[i+1]})
	}
	keys, err := auth.NewNamedKeys(secrets)
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// sign makes a token by hand, so that what Verify reads is not what Mint wrote.
func sign(newHash func() hash.Hash, secret, header, payload string) string {
	signed := b64(header) + "." + b64(payload)
	mac := hmac.New(newHash, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + b64(string(mac.Sum(nil)))
}

const hs256 = `{"alg":"HS256","typ":"JWT"}`

func signA(payload string) string  { return sign(sha256.New, secretA, hs256, payload) }
func sign512(header string) string { return sign(sha512.New, secretA, header, good) }

// good is what SimpleJWT puts into a token: issued at noon for five minutes.
const good = `{"token_type":"access","exp":1795435500,"iat":1795435200,"jti":"0123456789abcdef0123456789abcdef","user_id":1}`
