package auth_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/cause"
)

type members = map[string]any

// A signer has a private key, and its public half as a JWK.
type signer struct {
	method jwt.SigningMethod
	key    crypto.Signer
	jwk    members
}

func raw(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func rsaSigner(tb testing.TB, kid string, bits int) signer {
	tb.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		tb.Fatal(err)
	}
	return signer{jwt.SigningMethodRS256, k, members{
		"kty": "RSA", "kid": kid, "alg": "RS256", "use": "sig", "n": raw(k.N.Bytes()), "e": raw(big.NewInt(int64(k.E)).Bytes()),
	}}
}

func ecSigner(tb testing.TB, kid string, curve elliptic.Curve) signer {
	tb.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	point, err := k.PublicKey.Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	half := len(point) / 2
	return signer{jwt.SigningMethodES256, k, members{
		"kty": "EC", "kid": kid, "crv": curve.Params().Name, "x": raw(point[1 : 1+half]), "y": raw(point[1+half:]),
	}}
}

func edSigner(tb testing.TB, kid string) signer {
	tb.Helper()
	public, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return signer{jwt.SigningMethodEdDSA, k, members{"kty": "OKP", "kid": kid, "crv": "Ed25519", "alg": "EdDSA", "x": raw(public)}}
}

// token is one that the signer has signed, with the kid of its key.
func (s signer) token(tb testing.TB, more ...any) string {
	tb.Helper()
	c := jwt.MapClaims{"token_type": "access", "user_id": 1, "exp": noon.Add(time.Minute).Unix(), "iat": noon.Unix()}
	for i := 0; i+1 < len(more); i += 2 {
		c[fmt.Sprint(more[i])] = more[i+1]
	}
	t := jwt.NewWithClaims(s.method, c)
	if kid := s.jwk["kid"]; kid != "" {
		t.Header["kid"] = kid
	}
	text, err := t.SignedString(s.key)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

func keySet(signers ...signer) []byte {
	set := []members{}
	for _, s := range signers {
		set = append(set, s.jwk)
	}
	text, _ := json.Marshal(members{"keys": set})
	return text
}

func file(tb testing.TB, text []byte) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "jwks.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

func open(tb testing.TB, o auth.JWKSOptions) (*auth.Keys, *auth.JWKS) {
	tb.Helper()
	j, err := auth.NewJWKS(o, slog.New(slog.NewTextHandler(tb.Output(), nil)), prometheus.NewRegistry())
	if err != nil {
		tb.Fatal(err)
	}
	return newKeys(tb, secretA).WithJWKS(j), j
}

func TestAKeySetVerifiesBesideTheSecrets(t *testing.T) {
	t.Parallel()
	r, e, d, nameless := rsaSigner(t, "r", 2048), ecSigner(t, "e", elliptic.P256()), edSigner(t, "d"), edSigner(t, "")
	keys, _ := open(t, auth.JWKSOptions{Source: file(t, keySet(r, e, d, nameless))})
	for _, token := range []string{r.token(t), e.token(t), d.token(t), nameless.token(t), signA(good)} {
		if c, err := keys.Verify(token, noon); err != nil || c.UserID != 1 {
			t.Errorf("%+v, %v", c, err)
		}
	}
	anonymous := e
	anonymous.jwk = members{"kid": ""}
	if _, err := keys.Verify(anonymous.token(t), noon); err != nil {
		t.Errorf("a token without kid is tried with each key: %v", err)
	}
	minted, _, err := keys.Mint(auth.Access, 7, noon, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newKeys(t, secretA).Verify(minted, noon); err != nil {
		t.Errorf("the own secret goes on signing: %v", err)
	}
}

func TestAKeySetConfusesNoAlgorithms(t *testing.T) {
	t.Parallel()
	r, e, d, other := rsaSigner(t, "r", 2048), ecSigner(t, "e", elliptic.P256()), edSigner(t, "d"), edSigner(t, "d")
	keys, _ := open(t, auth.JWKSOptions{Source: file(t, keySet(r, e, d))})
	public := r.key.Public().(*rsa.PublicKey)
	der, _ := x509.MarshalPKIXPublicKey(public)
	asSecret := func(secret []byte, header string) string { return sign(sha256.New, string(secret), header, good) }
	mixed := func(alg, kid string, s signer) string { // the header says what the key is not
		parts := strings.Split(s.token(t), ".")
		parts[0] = b64(fmt.Sprintf(`{"alg":%q,"kid":%q}`, alg, kid))
		return strings.Join(parts, ".")
	}
	foreign := rsaSigner(t, "r", 2048)
	for name, tt := range map[string]struct{ token, word string }{
		"HS256 with the modulus as the secret":         {asSecret(public.N.Bytes(), hs256), "bad_signature"},
		"HS256 with the PEM as the secret":             {asSecret(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), hs256), "bad_signature"},
		"HS256 with the DER as the secret":             {asSecret(der, hs256), "bad_signature"},
		"HS256 with the Ed25519 key as the secret":     {asSecret(d.key.Public().(ed25519.PublicKey), hs256), "bad_signature"},
		"HS256 under the kid of the RSA key":           {asSecret(public.N.Bytes(), `{"alg":"HS256","kid":"r"}`), "wrong_algorithm"},
		"none under the kid of the RSA key":            {b64(`{"alg":"none","kid":"r"}`) + "." + b64(good) + ".", "wrong_algorithm"},
		"PS256, which RSA keys could sign":             {mixed("PS256", "r", r), "wrong_algorithm"},
		"RS512, which RSA keys could sign":             {mixed("RS512", "r", r), "wrong_algorithm"},
		"ES256 in the header, signed by the RSA key":   {mixed("ES256", "e", r), "bad_signature"},
		"RS256 in the header, signed by the EC key":    {mixed("RS256", "r", e), "bad_signature"},
		"EdDSA under the kid of the EC key":            {mixed("EdDSA", "e", d), "bad_signature"},
		"another key of the same kid":                  {other.token(t), "bad_signature"},
		"another RSA key of the same kid":              {foreign.token(t), "bad_signature"},
		"an unknown kid of a key that would fit":       {mixed("EdDSA", "x", d), "unknown_key"},
		"a refresh token of the key set":               {d.token(t, "token_type", "refresh"), "wrong_type"},
		"an expired one of the key set has no mercy":   {d.token(t, "exp", noon.Add(-time.Minute).Unix()), "expired"},
		"a token of the key set without an expiration": {d.token(t, "exp", nil), "bad_exp"},
	} {
		reason := auth.TokenInvalid
		if tt.word == "expired" {
			reason = auth.TokenExpired
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := keys.Verify(tt.token, noon)
			refused(t, err, reason, tt.word)
		})
	}
	_, err := keys.VerifyRefresh(d.token(t, "token_type", "refresh", "jti", "a"), noon)
	refused(t, err, auth.TokenInvalid, "wrong_algorithm")
}

func TestAKeySetLeavesOutWhatItMust(t *testing.T) {
	t.Parallel()
	fine := edSigner(t, "fine")
	with := func(s signer, changed members) signer {
		j := members{}
		maps.Copy(j, s.jwk)
		maps.Copy(j, changed)
		s.jwk = j
		return s
	}
	r, e := rsaSigner(t, "k", 2048), ecSigner(t, "k", elliptic.P256())
	for name, s := range map[string]signer{
		"an RSA key of 1,024 bits":       rsaSigner(t, "k", 1024),
		"an RSA key of 8,200 bits":       with(r, members{"n": raw(bytes.Repeat([]byte{0xff}, 1025))}),
		"an even modulus":                with(r, members{"n": raw(append(bytes.Repeat([]byte{0xff}, 255), 0xfe))}),
		"the exponent 1":                 with(r, members{"e": "AQ"}),
		"an even exponent":               with(r, members{"e": "AQAA"}),
		"a huge exponent":                with(r, members{"e": raw(bytes.Repeat([]byte{0xff}, 300))}),
		"a modulus that is no base64url": with(r, members{"n": "+/"}),
		"another alg":                    with(r, members{"alg": "PS256"}),
		"for encryption":                 with(r, members{"use": "enc"}),
		"key_ops without verify":         with(r, members{"key_ops": []string{"encrypt"}}),
		"with its private half":          with(r, members{"d": "AAAA"}),
		"a shared secret":                {jwk: members{"kty": "oct", "k": raw([]byte(secretB)), "kid": "k", "alg": "HS256"}},
		"a curve that ES256 has not":     ecSigner(t, "k", elliptic.P384()),
		"a point that is off the curve":  with(e, members{"x": raw(bytes.Repeat([]byte{1}, 32))}),
		"coordinates that are too short": with(e, members{"x": "AQ"}),
		"another alg of an EC key":       with(e, members{"alg": "ES384"}),
		"an Ed25519 key that is short":   with(fine, members{"x": "AQ", "kid": "k"}),
		"X25519, which signs nothing":    with(fine, members{"crv": "X25519", "kid": "k"}),
		"a kid that is a number":         with(fine, members{"kid": 5}),
		"a very long kid":                with(fine, members{"kid": strings.Repeat("k", 300)}),
		"an unknown type":                {jwk: members{"kty": "PQC", "kid": "k"}},
		"null":                           {jwk: nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if n, err := auth.ParseKeySet(keySet(s, fine)); n != 1 || err != nil {
				t.Errorf("%d keys, %v; want only the other one", n, err)
			}
			if n, err := auth.ParseKeySet(keySet(s)); n != 0 || err == nil {
				t.Errorf("alone: %d keys, %v", n, err)
			}
		})
	}
}

func TestNewJWKSRefuses(t *testing.T) {
	t.Parallel()
	many := make([]signer, 33)
	for i := range many {
		many[i] = edSigner(t, fmt.Sprint(i))
	}
	for name, tt := range map[string]struct{ source, want string }{
		"a file that is not there":  {filepath.Join(t.TempDir(), "none"), "no such file"},
		"a file that is no JSON":    {file(t, []byte("-----BEGIN")), `JSON object with "keys"`},
		"a file without keys":       {file(t, []byte(`{"keys":[]}`)), "has no key"},
		"too many keys":             {file(t, keySet(many...)), "the maximum is 32"},
		"too large":                 {file(t, bytes.Repeat([]byte(" "), 256<<10+1)), "more than"},
		"http":                      {"http://example.com/jwks", "https"},
		"credentials in the URL":    {"https://user:hunter2@example.com/jwks", "https URL without credentials"},
		"a scheme that is no https": {"ftp://example.com/jwks", "https"},
	} {
		_, err := auth.NewJWKS(auth.JWKSOptions{Source: tt.source}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhoATokenOfAKeySetIsFor(t *testing.T) {
	t.Parallel()
	d := edSigner(t, "d")
	keys, _ := open(t, auth.JWKSOptions{Source: file(t, keySet(d)), Issuer: "https://id.example.com", Audience: "roomspa"})
	for name, tt := range map[string]struct {
		claims []any
		word   string
	}{
		"both":                                 {[]any{"iss", "https://id.example.com", "aud", "roomspa"}, ""},
		"one of several":                       {[]any{"iss", "https://id.example.com", "aud", []string{"shop", "roomspa"}}, ""},
		"another issuer":                       {[]any{"iss", "https://evil.example.com", "aud", "roomspa"}, "wrong_issuer"},
		"no issuer":                            {[]any{"aud", "roomspa"}, "wrong_issuer"},
		"another audience":                     {[]any{"iss", "https://id.example.com", "aud", "shop"}, "wrong_audience"},
		"no audience":                          {[]any{"iss", "https://id.example.com"}, "wrong_audience"},
		"an audience of no shape":              {[]any{"iss", "https://id.example.com", "aud", 5}, "wrong_audience"},
		"an audience that is null":             {[]any{"iss", "https://id.example.com", "aud", nil}, "wrong_audience"},
		"an issuer that is a list":             {[]any{"iss", []string{"https://id.example.com"}, "aud", "roomspa"}, "wrong_issuer"},
		"a number among the audiences":         {[]any{"iss", "https://id.example.com", "aud", []any{"roomspa", 5}}, "wrong_audience"},
		"issuer and audience in capitals only": {[]any{"ISS", "https://id.example.com", "AUD", "roomspa"}, "wrong_issuer"},
	} {
		_, err := keys.Verify(d.token(t, tt.claims...), noon)
		if tt.word != "" {
			refused(t, err, auth.TokenInvalid, tt.word)
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := keys.Verify(signA(good), noon); err != nil {
		t.Errorf("the own tokens have neither: %v", err)
	}
}

// A publisher serves a key set that changes.
type publisher struct {
	*httptest.Server

	set   atomic.Pointer[[]byte]
	asked atomic.Int32
	down  atomic.Bool
}

func publish(t *testing.T, signers ...signer) *publisher {
	t.Helper()
	p := &publisher{}
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.asked.Add(1)
		if p.down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write(*p.set.Load())
	}))
	t.Cleanup(p.Close)
	p.rotate(signers...)
	return p
}

func (p *publisher) rotate(signers ...signer) {
	text := keySet(signers...)
	p.set.Store(&text)
}

// follow runs a key set over a publisher, and waits until it has keys.
func (p *publisher) follow(t *testing.T, askEvery time.Duration, first signer) *auth.Keys {
	t.Helper()
	keys, j := open(t, auth.JWKSOptions{Source: p.URL, HTTP: p.Client(), UnknownKeyInterval: askEvery})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var run sync.WaitGroup
	run.Go(func() { j.Run(ctx) })
	t.Cleanup(func() { cancel(); run.Wait() })
	deadline := time.Now().Add(10 * time.Second)
	for {
		if _, err := keys.Verify(first.token(t), noon); err == nil {
			return keys
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestARotatedKeyIsFoundByItsKid(t *testing.T) {
	t.Parallel()
	old, fresh := edSigner(t, "old"), edSigner(t, "fresh")
	p := publish(t, old)
	keys := p.follow(t, time.Nanosecond, old)
	p.rotate(fresh)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := keys.Verify(fresh.token(t), noon); err != nil {
				t.Errorf("the first token of a new key: %v", err)
			}
		})
	}
	wg.Wait()
	_, err := keys.Verify(old.token(t), noon)
	refused(t, err, auth.TokenInvalid, "unknown_key")
}

func TestKnownKeysStayWhileTheirSourceIsAway(t *testing.T) {
	t.Parallel()
	old, unknown := edSigner(t, "old"), edSigner(t, "unknown")
	p := publish(t, old)
	keys := p.follow(t, time.Nanosecond, old)
	p.down.Store(true)
	_, err := keys.Verify(unknown.token(t), noon)
	refused(t, err, auth.TokenInvalid, "unknown_key")
	if _, err := keys.Verify(old.token(t), noon); err != nil {
		t.Errorf("while its source is down: %v", err)
	}
	p.down.Store(false)
	empty := []byte(`{"keys":[]}`)
	p.set.Store(&empty)
	_, _ = keys.Verify(unknown.token(t), noon)
	if _, err := keys.Verify(old.token(t), noon); err != nil {
		t.Errorf("while its source is empty: %v", err)
	}
}

// TestWhatIsWrongWithAKeySetHasAWord looks at the line of each failure, and at the error.
func TestWhatIsWrongWithAKeySetHasAWord(t *testing.T) {
	t.Parallel()
	fine, small := edSigner(t, "fine"), rsaSigner(t, "small", 1024)
	gone, down, empty, partly := publish(t, fine), publish(t, fine), publish(t), publish(t, fine, small)
	gone.Close()
	down.down.Store(true)
	file := filepath.Join(t.TempDir(), "keys.json")
	for word, o := range map[string]auth.JWKSOptions{
		"jwks_unreachable":  {Source: gone.URL, HTTP: gone.Client()},
		"jwks_refused":      {Source: down.URL, HTTP: down.Client()},
		"jwks_invalid":      {Source: empty.URL, HTTP: empty.Client()},
		"jwks_unreadable":   {Source: file},
		"jwks_key_left_out": {Source: partly.URL, HTTP: partly.Client()},
	} {
		var lines bytes.Buffer
		j, err := auth.NewJWKS(o, slog.New(slog.NewTextHandler(&lines, nil)), prometheus.NewRegistry())
		if err == nil {
			_, err = j.Check(t.Context())
		}
		leftOut := word == "jwks_key_left_out"
		if (err == nil) != leftOut || !leftOut && cause.Of(err) != word || strings.Count(lines.String(), " cause="+word+" component=JWKS\n") != 1 {
			t.Errorf("%s: %v, %q\n%s", word, err, cause.Of(err), &lines)
		}
	}
}

func TestMadeUpKidsDoNotMakeItAsk(t *testing.T) {
	t.Parallel()
	old := edSigner(t, "old")
	p := publish(t, old)
	keys := p.follow(t, time.Hour, old)
	before := p.asked.Load()
	for i := range 100 {
		forged := old
		forged.jwk = members{"kid": fmt.Sprint("made up ", i)}
		_, err := keys.Verify(forged.token(t), noon)
		refused(t, err, auth.TokenInvalid, "unknown_key")
	}
	if n := p.asked.Load() - before; n != 0 {
		t.Errorf("asked %d times within the hour", n)
	}
}

func FuzzKeySet(f *testing.F) {
	f.Add(keySet(rsaSigner(f, "r", 2048), ecSigner(f, "e", elliptic.P256()), edSigner(f, "d")))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"","y":""},null,5]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		n, err := auth.ParseKeySet(text)
		if (n > 0) != (err == nil) || n > 32 {
			t.Errorf("%d keys, %v", n, err)
		}
	})
}
