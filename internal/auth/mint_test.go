package auth_test

import (
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/auth"
)

func TestMintHasTheShapeOfSimpleJWT(t *testing.T) {
	t.Parallel()
	token, claims, err := newKeys(t, secretA).Mint(auth.Refresh, 42, noon.Add(700*time.Millisecond), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	header, payload, _ := parts(token)
	if header != b64(hs256) {
		t.Errorf("header %s", header)
	}
	decoded, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(decoded, &got); err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(claims.ID) {
		t.Errorf("jti %q", claims.ID)
	}
	want := map[string]any{
		"token_type": "refresh", "user_id": 42.0, "jti": claims.ID,
		"iat": float64(noon.Unix()), "exp": float64(noon.Add(time.Hour).Unix()),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
}

func TestMintedTokensAreAccepted(t *testing.T) {
	t.Parallel()
	keys := namedKeys(t, "k1", secretA, "", secretB)
	token, minted, err := keys.Mint(auth.Access, 7, noon, 5*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	got, err := keys.Verify(token, noon)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(minted, got); diff != "" {
		t.Errorf("claims (-minted +verified):\n%s", diff)
	}
	parsed, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return []byte(secretA), nil },
		jwt.WithTimeFunc(func() time.Time { return noon }), jwt.WithValidMethods([]string{"HS256"}))
	if err != nil || parsed.Header["kid"] != "k1" {
		t.Errorf("the library says %v, header %v", err, parsed.Header)
	}
}

func TestMintedRefreshTokensOpenNothing(t *testing.T) {
	t.Parallel()
	keys := newKeys(t, secretA)
	token, _, err := keys.Mint(auth.Refresh, 7, noon, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	_, err = keys.Verify(token, noon)
	refused(t, err, auth.TokenInvalid, "wrong_type")
}

func TestMintNeverRepeatsAnID(t *testing.T) {
	t.Parallel()
	keys := newKeys(t, secretA)
	a, _, _ := keys.Mint(auth.Access, 7, noon, time.Hour)
	b, _, _ := keys.Mint(auth.Access, 7, noon, time.Hour)
	if a == b || strings.Count(a, ".") != 2 {
		t.Error("two tokens are the same")
	}
}
