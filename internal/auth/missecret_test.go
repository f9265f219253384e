package auth_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/auth"
)

// TestWhatIsWrongWithASecretIsNamed sets a secret as people misset it, and gives a token of the
// issuer that has the right one.
func TestWhatIsWrongWithASecretIsNamed(t *testing.T) {
	t.Parallel()
	const real = "a readable secret of 40 bytes, as it is."
	std, url := base64.StdEncoding.EncodeToString, base64.URLEncoding.EncodeToString
	for name, tt := range map[string]struct{ set, issuer, want string }{
		"base64 of it":                   {std([]byte(real)), real, "fits the base64-decoded secret (JWT secret 1): the secret was encoded once more (Kubernetes data: instead of stringData:?). Set that one first"},
		"base64 of it and a line break":  {std([]byte(real + "\n")), real, "the base64-decoded secret, secret without a line break (U+000A) after its end"},
		"base64 twice":                   {std([]byte(std([]byte(real)))), real, "the base64-decoded secret, base64-decoded secret"},
		"base64url":                      {strings.TrimRight(url([]byte(real)), "="), real, "the base64-decoded secret"},
		"hexadecimal":                    {hex.EncodeToString([]byte(real)), real, "the hexadecimal-decoded secret"},
		"quotes":                         {`"` + real + `"`, real, "the secret without quotes (U+0022) around it"},
		"a line break":                   {real + "\r\n", real, "without a carriage return (U+000D), a line break (U+000A) after its end"},
		"quotes around base64":           {"'" + std([]byte(real)) + "'", real, "fits the"},
		"the issuer has base64 of it":    {real, std([]byte(real)), "the secret in base64 (JWT secret 1): the issuer signs with the encoded form"},
		"the issuer has hexadecimal":     {real, hex.EncodeToString([]byte(real)), "the secret in hexadecimal"},
		"the issuer has a line break":    {real, real + "\n", "the secret with a line break (U+000A) after its end"},
		"the issuer has quotes":          {real, `"` + real + `"`, "the secret in double quotes"},
		"base64 of one that is short":    {std([]byte("only 24 bytes as a secret")), "only 24 bytes as a secret", "That one has 25 bytes and roomspa takes no secret below 32"},
		"something else":                 {strings.Repeat("x", 40), real, ""},
		"hexadecimal that is the secret": {strings.Repeat("ab", 32), real, ""},
	} {
		keys := newKeys(t, tt.set)
		for kind, payload := range map[string]string{"access": good, "refresh": `{"token_type":"refresh","exp":1795435500,"user_id":1,"jti":"x"}`} {
			token := sign(sha256.New, tt.issuer, hs256, payload)
			_, err := keys.Verify(token, noon)
			if kind == "refresh" {
				_, err = keys.VerifyRefresh(token, noon)
			}
			r, ok := errors.AsType[*auth.Refusal](err)
			if !ok || r.Word != "bad_signature" || !strings.Contains(r.Hint, tt.want) || tt.want == "" && r.Hint != "" {
				t.Fatalf("%s, %s: %v, hint %q, want %q", name, kind, err, r.Hint, tt.want)
			}
			if seen := keys.Inspect(token, noon).Refusal; seen.Hint != r.Hint {
				t.Errorf("%s: inspect says %q", name, seen.Hint)
			}
			if r.Hint != "" && (strings.Contains(r.Error(), "fits the") || !strings.Contains(r.Report(), r.Hint)) {
				t.Errorf("%s: the client is told %q, the log %q", name, r.Error(), r.Report())
			}
			if strings.Contains(r.Report(), tt.set[1:10]) || strings.Contains(r.Report(), real[:10]) {
				t.Errorf("%s: %q has a part of the secret", name, r.Report())
			}
		}
	}
}

// TestHintsAreFew sends many refused tokens: only some of them cost more than the verification.
func TestHintsAreFew(t *testing.T) {
	t.Parallel()
	keys, n := newKeys(t, base64.StdEncoding.EncodeToString([]byte(secretA))), 0
	for range 1000 {
		_, err := keys.Verify(signA(good), noon)
		if r, ok := errors.AsType[*auth.Refusal](err); ok && r.Hint != "" {
			n++
		}
	}
	if n == 0 || n > 100 {
		t.Errorf("%d of 1,000 refused tokens have a hint", n)
	}
}

// TestCheckWarnsOfAnEncodedSecret checks secrets that may be encoded.
func TestCheckWarnsOfAnEncodedSecret(t *testing.T) {
	t.Parallel()
	random := sha256.Sum256([]byte("x"))
	for secret, want := range map[string]bool{
		base64.StdEncoding.EncodeToString([]byte("a readable secret of 40 bytes, as it is.")):   true,
		base64.StdEncoding.EncodeToString([]byte("a readable secret of 40 bytes, as it is.\n")): true,
		base64.StdEncoding.EncodeToString(random[:]):                                            false,
		"a readable secret of 40 bytes, as it is.":                                              false,
		"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a":                      false,
	} {
		_, warnings, err := newKeys(t, secret).Check(60e9)
		if got := strings.Contains(strings.Join(warnings, " "), "encoded once too often"); got != want || err != nil {
			t.Errorf("%q: %q, %v", secret, warnings, err)
		}
	}
}
