package auth_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/auth"
)

func TestNewKeysTakesSecretsAsTheyAre(t *testing.T) {
	t.Parallel()
	padded := base64.StdEncoding.EncodeToString([]byte(secretA[:31])) // 44 characters that end in "="
	for _, secret := range []string{secretA, secretA[:32], padded, "k1=" + secretA, "=" + secretA, "k1=" + padded, "a,b" + secretA, " " + secretA} {
		keys := newKeys(t, secret)
		if diff := cmp.Diff([]string{""}, keys.IDs()); diff != "" {
			t.Errorf("kids of %s (-want +got):\n%s", secret, diff)
		}
		if _, err := keys.Verify(sign(sha256.New, secret, hs256, good), noon); err != nil {
			t.Errorf("%s: %v", secret, err)
		}
	}
}

func TestKeysRefuse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		secrets []auth.Secret
		want    string
	}{
		{"no secret", nil, "no JWT secret is given"},
		{"an empty secret", []auth.Secret{{}}, "JWT secret 1 has 0 bytes; HS256 needs 32 or more"},
		{"a short secret", []auth.Secret{{Text: secretA}, {Text: "hunter2"}}, "JWT secret 2 has 7 bytes; HS256 needs 32 or more"},
		{"a short secret with a kid", []auth.Secret{{"k1", secretA[:31]}}, "JWT secret 1 has 31 bytes; HS256 needs 32 or more"},
		{"a secret twice", []auth.Secret{{Text: secretA}, {Text: secretB}, {Text: secretA}}, "JWT secrets 1 and 3 are the same"},
		{"a secret twice, under two kids", []auth.Secret{{"a", secretA}, {"b", secretA}}, "JWT secrets 1 and 2 are the same"},
		{"a kid twice", []auth.Secret{{"a", secretA}, {"a", secretB}}, "JWT secrets 1 and 2 have the same kid"},
		{"a kid with a quote", []auth.Secret{{`a"`, secretA}}, "the kid of JWT secret 1 is not 1 to 64 letters, digits, dots, dashes and underscores"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := auth.NewNamedKeys(tt.secrets)
			if err == nil || err.Error() != tt.want {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}

func TestVerifyWithSeveralKeys(t *testing.T) {
	t.Parallel()
	const fine = ""
	kid := func(id string) string { return fmt.Sprintf(`{"alg":"HS256","kid":%q,"typ":"JWT"}`, id) }
	named := []string{"new", secretB, "old", secretA}
	for _, tt := range []struct {
		name  string
		pairs []string
		token string
		word  string
	}{
		{"during a rotation, a token of the old secret is good", []string{"", secretB, "", secretA}, signA(good), fine},
		{"during a rotation, a token of the new secret is good", []string{"", secretB, "", secretA}, sign(sha256.New, secretB, hs256, good), fine},
		{"after a rotation, a token of the old secret is refused", []string{"", secretB}, signA(good), "bad_signature"},
		{"a token without kid is tried with each key", named, signA(good), fine},
		{"a known kid picks its key", named, sign(sha256.New, secretA, kid("old"), good), fine},
		{"a known kid is not tried with other keys", named, sign(sha256.New, secretA, kid("new"), good), "bad_signature"},
		{"an unknown kid is tried with each key", named, sign(sha256.New, secretA, kid("django"), good), fine},
		{"an unknown kid that no key fits is told", named, sign(sha256.New, secretC, kid("django"), good), "unknown_key"},
		{"an empty kid is none", named, sign(sha256.New, secretC, kid(""), good), "bad_signature"},
		{"a known kid with another algorithm", named, sign512(`{"alg":"HS512","kid":"old"}`), "wrong_algorithm"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := namedKeys(t, tt.pairs...).Verify(tt.token, noon)
			if tt.word != fine {
				refused(t, err, auth.TokenInvalid, tt.word)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestKeysPrintNoSecret(t *testing.T) {
	t.Parallel()
	keys := namedKeys(t, "k1", secretA)
	holder := struct{ Keys *auth.Keys }{keys}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x"} {
		for _, v := range []any{keys, *keys, holder, &holder} {
			got := fmt.Sprintf(format, v)
			if strings.Contains(got, secretA) || strings.Contains(got, fmt.Sprintf("%x", secretA)) || strings.Contains(got, "97 45 115") {
				t.Errorf("%s prints %s", format, got)
			}
		}
	}
}

func TestEqualKeysHaveEqualFingerprints(t *testing.T) {
	t.Parallel()
	prints := func(pairs ...string) []string {
		t.Helper()
		return namedKeys(t, pairs...).Fingerprints()
	}
	first, second := strings.Repeat("a", 32), strings.Repeat("b", 32)
	here, there := prints("", first, "named", second), prints("", second, "named", first)
	if len(here) != 2 || here[0] == here[1] || here[0] != there[1] || here[1] != there[0] {
		t.Errorf("%q and %q", here, there)
	}
	if len(here[0]) != 16 || strings.Contains(here[0], "aaaa") {
		t.Errorf("%q is no fingerprint", here[0])
	}
}
