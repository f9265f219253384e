package auth_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/roomspa/roomspa/internal/auth"
)

// FuzzVerify looks for a token that Verify takes and golang-jwt, which shares
// nothing with it but the MAC, does not.
func FuzzVerify(f *testing.F) {
	f.Add(signA(good))
	f.Add(sign(sha256.New, secretC, hs256, good))
	f.Add("a.b.c")
	keys := newKeys(f, secretA)
	f.Fuzz(func(t *testing.T, token string) { agrees(t, keys, token) })
}

// FuzzClaims is FuzzVerify behind a signature that is good.
func FuzzClaims(f *testing.F) {
	f.Add(hs256, good)
	f.Add(hs256, strings.Replace(good, ":1}", `:"1"}`, 1))
	f.Add(hs256, `{"token_type":"access","exp":1.7954355e9,"user_id":null,"nbf":1}`)
	f.Add(`{"kid":"x","alg":"HS256","crit":[]}`, `{}`)
	keys := newKeys(f, secretA)
	f.Fuzz(func(t *testing.T, header, payload string) {
		agrees(t, keys, sign(sha256.New, secretA, header, payload))
	})
}

func agrees(t *testing.T, keys *auth.Keys, token string) {
	t.Helper()
	claims, err := keys.Verify(token, noon)
	if err != nil {
		refusal, ok := errors.AsType[*auth.Refusal](err)
		if !ok || refusal.Word == "" || refusal.Detail == "" || claims != (auth.Claims{}) {
			t.Fatalf("%+v, error %#v", claims, err)
		}
		if len(token) > 40 && strings.Contains(err.Error(), token[20:]) {
			t.Fatalf("the error %q holds the token", err)
		}
		return
	}
	set := jwt.MapClaims{}
	if _, err := jwt.NewParser(
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(auth.Leeway), jwt.WithTimeFunc(func() time.Time { return noon }), jwt.WithJSONNumber(),
	).ParseWithClaims(token, set, func(*jwt.Token) (any, error) { return []byte(secretA), nil }); err != nil {
		t.Fatalf("Verify takes what the library refuses: %v", err)
	}
	if set["token_type"] != "access" || claims.UserID < 1 {
		t.Fatalf("%+v of %v", claims, set)
	}
	switch id := set["user_id"].(type) {
	case json.Number, string:
	default:
		t.Fatalf("user_id %v", id)
	}
}
