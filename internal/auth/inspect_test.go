package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
)

func TestInspectSaysWhatATokenSaysAndWhyItIsRefused(t *testing.T) {
	t.Parallel()
	now := time.Now()
	keys, err := auth.NewKeys([]string{strings.Repeat("k", 40)})
	if err != nil {
		t.Fatal(err)
	}
	others, err := auth.NewKeys([]string{strings.Repeat("o", 40)})
	if err != nil {
		t.Fatal(err)
	}
	mint := func(k *auth.Keys, kind auth.TokenType, at time.Time) string {
		token, _, err := k.Mint(kind, 7, at, 5*time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	good := mint(keys, auth.Access, now)
	for name, tt := range map[string]struct {
		keys     *auth.Keys
		token    string
		word     string
		verified bool
		readable bool
	}{
		"good":                          {keys, good, "", true, true},
		"good, as far as one can see":   {nil, good, "", false, true},
		"a good refresh token":          {keys, mint(keys, auth.Refresh, now), "", true, true},
		"expired":                       {keys, mint(keys, auth.Access, now.Add(-time.Hour)), "expired", true, true},
		"expired, without a key":        {nil, mint(keys, auth.Access, now.Add(-time.Hour)), "expired", false, true},
		"of another key":                {keys, mint(others, auth.Access, now), "bad_signature", false, true},
		"of the future":                 {keys, mint(keys, auth.Access, now.Add(time.Hour)), "not_yet_valid", true, true},
		"nothing":                       {keys, "", "missing", false, false},
		"a password":                    {keys, "correct horse", "malformed", false, false},
		"two parts":                     {nil, "a.b", "malformed", false, false},
		"claims that are none":          {nil, good[:strings.Index(good, ".")] + ".e30x.c", "malformed", false, false},
		"a header that is none":         {nil, "e30x" + good[strings.Index(good, "."):], "malformed", false, false},
		"longer than is ever looked at": {keys, strings.Repeat("a", auth.MaxToken) + good, "too_long", false, false},
	} {
		in := tt.keys.Inspect(tt.token, now)
		word := ""
		if in.Refusal != nil {
			word = in.Refusal.Word
		}
		if word != tt.word || in.Verified != tt.verified || (in.Claims != nil && in.Header != nil) != tt.readable {
			t.Errorf("%s: word %q, verified %v, header %s, claims %s", name, word, in.Verified, in.Header, in.Claims)
		}
		if (in.Parsed.UserID == 7) != tt.readable {
			t.Errorf("%s: it says %+v", name, in.Parsed)
		}
	}
}
