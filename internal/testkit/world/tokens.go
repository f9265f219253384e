package world

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Object is a JSON object.
type Object = map[string]any

// HS256 is the header of a good token.
var HS256 = Object{"alg": "HS256", "typ": "JWT"}

// Forge signs any header and claims with key, as HS512 where the header says so and as HS256 otherwise. Text is taken as
// it is, anything else is encoded as JSON.
func Forge(t testing.TB, header, claims any, key string) string {
	t.Helper()
	part := func(v any) string {
		text, ok := v.(string)
		if !ok {
			j, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			text = string(j)
		}
		return base64.RawURLEncoding.EncodeToString([]byte(text))
	}
	signed := part(header) + "." + part(claims)
	algorithm := sha256.New
	if h, ok := header.(Object); ok && h["alg"] == "HS512" {
		algorithm = sha512.New
	}
	mac := hmac.New(algorithm, []byte(key))
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Sign returns a token of Claims that is signed with Secret.
func Sign(t testing.TB, changed Object) string {
	t.Helper()
	return Forge(t, HS256, Claims(changed), Secret)
}

// Claims returns the claims of a good access token of Customer, with some changed; nil takes one away.
func Claims(changed Object) Object {
	c := Object{
		"token_type": "access", "user_id": 1, "jti": "0123456789abcdef",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	for k, v := range changed {
		if v == nil {
			delete(c, k)
		} else {
			c[k] = v
		}
	}
	return c
}

// Ahead returns a time that is later than the leeway, and before the exp of Claims.
func Ahead() int64 { return time.Now().Add(30 * time.Minute).Unix() }

// KeySet returns the path of a JWKS file with one Ed25519 key, and a function that signs claims with it.
func KeySet(t testing.TB) (path string, sign func(claims Object) string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw := base64.RawURLEncoding.EncodeToString
	set, err := json.Marshal(Object{"keys": []Object{{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": raw(public)}}})
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(path, set, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, func(claims Object) string {
		payload, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		signed := raw([]byte(`{"alg":"EdDSA","kid":"k"}`)) + "." + raw(payload)
		return signed + "." + raw(ed25519.Sign(private, []byte(signed)))
	}
}
