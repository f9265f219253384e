package auth_test

import (
	"encoding/base64"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/roomspa/roomspa/internal/auth"
)

// TestWhatIsWrongWithATextIsNamed gives texts to the server and to token inspect, which must say
// the same.
func TestWhatIsWrongWithATextIsNamed(t *testing.T) {
	t.Parallel()
	token := signA(good)
	header, payload, signature := parts(token)
	expired := signA(`{"token_type":"access","exp":1,"user_id":1}`)
	wide := ""
	for _, u := range utf16.Encode([]rune(token)) {
		wide += string([]byte{byte(u), byte(u >> 8)})
	}
	keys := newKeys(t, secretA)
	for _, tt := range []struct{ text, want string }{
		{token + "\n", "The token has a line break (U+000A) after its end; without that the token is good."},
		{token + "\r\n", "The token has a carriage return (U+000D), a line break (U+000A) after its end; without that the token is good."},
		{"\ufeff" + token, "The token has a BOM (U+FEFF) before it; without that the token is good."},
		{" " + token, "The token has a blank (U+0020) before it; without that the token is good."},
		{token + "\u00a0", "The token has a no-break space (U+00A0) after its end; without that the token is good."},
		{token + "\u200b", "The token has a zero-width space (U+200B) after its end; without that the token is good."},
		{`"` + token + `"`, "The token has quotes (U+0022) around it; without that the token is good."},
		{"'" + expired + "'", "The token has quotes (U+0027) around it; without that the token is refused too (expired)."},
		{`"` + token + "\"\n", "The token has a quote (U+0022) before it, and a quote (U+0022), a line break (U+000A) after its end; without that the token is good."},
		{"Bearer " + token, `The token begins with "bearer": send the token alone, unless this is the header Authorization, with the scheme once; without it the token is good.`},
		{"access_token=" + token, `The token begins with "access_token": send`},
		{"Bearer%20" + token, "has %20 at byte 7: encoded twice"},
		{strings.Replace(token, ".", "%2e", 1), "%2E at byte " + strconv.Itoa(len(header)+1) + ": encoded twice, or percent-encoded where it must not be; decoded once the token is good."},
		{url.QueryEscape(`"` + token + `"`), "The token has %22 at byte 1: encoded twice, or percent-encoded where it must not be; it has quotes (U+0022) around it; put right the token is good."},
		{base64.StdEncoding.EncodeToString([]byte(token)), "The token is base64 of a token: encoded once too often; decoded the token is good."},
		{base64.RawURLEncoding.EncodeToString([]byte(token + "\n")), "The token is base64 of a token"},
		{`{"access_token":"` + token + `","refresh_token":"x"}`, "The token is a JSON object: take its access_token; with that the token is good."},
		{`{"access":"` + token + `"}`, "take its access; with that the token is good."},
		{`{"access_token":"` + token, "is a JSON object, and an incomplete one"},
		{`{"detail":"x"}`, "is a JSON object without access_token."},
		{"undefined", `is the text "undefined"`},
		{"NULL", `is the text "null"`},
		{"[object Object]", `is the text "[object object]"`},
		{"${TOKEN}", "is a placeholder"},
		{"{{token}}", "is a JSON object"},
		{"<!DOCTYPE html>", "is a web page"},
		{header + "." + payload + "." + signature[:32], "The token's signature has 24 bytes, not 32: the token is cut off."},
		{token + "xx", "The token's signature has 33 bytes, not 32: something follows the token."},
		{header + "." + payload, "has 2 part(s) of three: it is cut off after"},
		{header, "has 1 part(s) of three: it is cut off after"},
		{header[:19] + "...", "the shortened form that logs print"},
		{token[:40] + "…", "the shortened form"},
		{strings.ToLower(token), "was changed to capital or small letters"},
		{header + "=." + payload + "=." + signature, "the padding of base64; without it the token is good."},
		{token[:50] + "\n" + token[50:], "has a line break (U+000A) at byte 51, which no JWT has: it was wrapped or split; without it the token is good."},
		{wide, "has NULs between its characters: it was read from a file in UTF-16; as UTF-8 the token is good."},
		{"session=1; jwt=" + token + "; path=/", "there is more in the text than a token; alone the token is good."},
		{"a.b.c.d.e", "has 5 parts: it is encrypted (JWE)"},
		{"0123456789abcdef", "Is it a session id"},
		{"correct horse battery", "has a blank (U+0020) at byte 8"},
		{"p4ss!word", "has a character at byte 5, which no JWT has."},
	} {
		_, err := keys.Verify(tt.text, noon)
		r, ok := errors.AsType[*auth.Refusal](err)
		if !ok || !strings.Contains(r.Detail, tt.want) || r.Reason != auth.TokenInvalid {
			t.Errorf("%.60q: %v, want %s", tt.text, err, tt.want)
			continue
		}
		if seen := keys.Inspect(tt.text, noon).Refusal; seen == nil || seen.Detail != r.Detail || seen.Word != r.Word {
			t.Errorf("%.60q: the server says %v, and inspect %v", tt.text, r, seen)
		}
		for _, part := range []string{header, payload, signature[:20], "correct", "p4ss"} {
			if strings.Contains(r.Detail, part) {
				t.Errorf("%.60q: %s contains a part of the text", tt.text, r.Detail)
			}
		}
	}
	if r := (*auth.Keys)(nil).Inspect(token+"\n", noon).Refusal; r == nil || !strings.Contains(r.Detail, "without that the token is good") {
		t.Errorf("without keys: %v", r)
	}
	if _, err := keys.VerifyRefresh(signA(`{"token_type":"refresh","exp":1795435500,"user_id":1,"jti":"x"}`)+"\n", noon); err == nil || !strings.Contains(err.Error(), "without that the token is good") {
		t.Errorf("a refresh token: %v", err)
	}
}
