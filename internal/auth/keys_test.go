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

func TestNewKeysReadsSecrets(t *testing.T) {
	t.Parallel()
	padded := base64.StdEncoding.EncodeToString([]byte(secretA[:31])) // 44 characters that end in "="
	for _, tt := range []struct {
		name    string
		secrets []string
		ids     []string
		signs   string // a secret whose tokens are accepted
	}{
		{"a secret without a name", []string{secretA}, []string{""}, secretA},
		{"a secret with a kid", []string{"k1=" + secretA}, []string{"k1"}, secretA},
		{"several, with and without", []string{"k1=" + secretA, secretB}, []string{"k1", ""}, secretB},
		{"a base64 secret keeps its padding", []string{padded}, []string{""}, padded},
		{"a base64 secret behind a kid keeps it too", []string{"k1=" + padded}, []string{"k1"}, padded},
		{"what cannot be a kid belongs to the secret", []string{"p@ss=" + secretA}, []string{""}, "p@ss=" + secretA},
		{"a = in front says that there is no kid", []string{"=k1=" + secretA}, []string{""}, "k1=" + secretA},
		{"exactly 32 bytes", []string{secretA[:32]}, []string{""}, secretA[:32]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			keys := newKeys(t, tt.secrets...)
			if diff := cmp.Diff(tt.ids, keys.IDs()); diff != "" {
				t.Errorf("kids (-want +got):\n%s", diff)
			}
			if _, err := keys.Verify(sign(sha256.New, tt.signs, hs256, good), noon); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNewKeysRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		secrets []string
		want    string
	}{
		{"no secret", nil, "no JWT secret is given"},
		{"an empty secret", []string{""}, "JWT secret 1 has 0 bytes; HS256 needs 32 or more"},
		{"a short secret", []string{secretA, "hunter2"}, "JWT secret 2 has 7 bytes; HS256 needs 32 or more"},
		{"a short secret behind a kid", []string{"k1=" + secretA[:31]}, "JWT secret 1 has 31 bytes; HS256 needs 32 or more"},
		{"a secret twice", []string{secretA, secretB, secretA}, "JWT secrets 1 and 3 are the same"},
		{"a secret twice, under two kids", []string{"a=" + secretA, "b=" + secretA}, "JWT secrets 1 and 2 are the same"},
		{"a kid twice", []string{"a=" + secretA, "a=" + secretB}, "JWT secrets 1 and 2 have the same kid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := auth.NewKeys(tt.secrets)
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
	named := []string{"new=" + secretB, "old=" + secretA}
	for _, tt := range []struct {
		name    string
		secrets []string
		token   string
		word    string
	}{
		{"during a rotation, a token of the old secret is good", []string{secretB, secretA}, signA(good), fine},
		{"during a rotation, a token of the new secret is good", []string{secretB, secretA}, sign(sha256.New, secretB, hs256, good), fine},
		{"after a rotation, a token of the old secret is refused", []string{secretB}, signA(good), "bad_signature"},
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
			_, err := newKeys(t, tt.secrets...).Verify(tt.token, noon)
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
	keys := newKeys(t, "k1="+secretA)
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
	prints := func(secrets ...string) []string {
		t.Helper()
		k, err := auth.NewKeys(secrets)
		if err != nil {
			t.Fatal(err)
		}
		return k.Fingerprints()
	}
	first, second := strings.Repeat("a", 32), strings.Repeat("b", 32)
	here, there := prints(first, "named="+second), prints(second, "named="+first)
	if len(here) != 2 || here[0] == here[1] || here[0] != there[1] || here[1] != there[0] {
		t.Errorf("%q and %q", here, there)
	}
	if len(here[0]) != 16 || strings.Contains(here[0], "aaaa") {
		t.Errorf("%q is no fingerprint", here[0])
	}
}
