package app_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/app"
)

type m = map[string]any

// forge makes a token by hand, whatever it says.
func forge(t testing.TB, header, claims any, key string) string {
	t.Helper()
	part := func(v any) string {
		b, ok := v.(string)
		if !ok {
			j, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			b = string(j)
		}
		return base64.RawURLEncoding.EncodeToString([]byte(b))
	}
	signed := part(header) + "." + part(claims)
	mac := hmac.New(sha256.New, []byte(key))
	if h, ok := header.(m); ok && h["alg"] == "HS512" {
		mac = hmac.New(sha512.New, []byte(key))
	}
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

var hs256 = m{"alg": "HS256", "typ": "JWT"}

// claims are good ones, with some changed; nil takes one away.
func claims(changed m) m {
	c := m{"token_type": "access", "user_id": 1, "jti": "0123456789abcdef", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	for k, v := range changed {
		if v == nil {
			delete(c, k)
		} else {
			c[k] = v
		}
	}
	return c
}

// ahead is later than the leeway, and before exp.
func ahead() int64 { return time.Now().Add(30 * time.Minute).Unix() }

func TestATokenThatIsRefused(t *testing.T) {
	t.Parallel()
	r := newWorld(t).ready(t, "a")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." +
		strings.Split(forge(t, hs256, claims(nil), secret), ".")[1] + "."
	for name, c := range map[string]struct {
		token, reason, word string
	}{
		"garbage":                 {"garbage", "token_invalid", "malformed"},
		"two dots and nothing":    {"..", "token_invalid", "malformed"},
		"not base64":              {"a!.b.c", "token_invalid", "malformed"},
		"claims are not JSON":     {forge(t, hs256, "hello", secret), "token_invalid", "malformed"},
		"claims are an array":     {forge(t, hs256, "[1]", secret), "token_invalid", "malformed"},
		"claims are not UTF-8":    {forge(t, hs256, "{\"user_id\":\"\xff\"}", secret), "token_invalid", "malformed"},
		"longer than 8 KiB":       {forge(t, hs256, claims(m{"x": strings.Repeat("x", 8<<10)}), secret), "token_invalid", "too_long"},
		"wrong signature":         {forge(t, hs256, claims(nil), strings.Repeat("x", 40)), "token_invalid", "bad_signature"},
		"signature cut off":       {strings.TrimRight(forge(t, hs256, claims(nil), secret), "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"), "token_invalid", "bad_signature"},
		"alg none":                {none, "token_invalid", "wrong_algorithm"},
		"alg None":                {forge(t, m{"alg": "None"}, claims(nil), secret), "token_invalid", "wrong_algorithm"},
		"alg HS512":               {forge(t, m{"alg": "HS512", "typ": "JWT"}, claims(nil), secret), "token_invalid", "wrong_algorithm"},
		"RS256 on an HS256 key":   {forge(t, m{"alg": "RS256", "typ": "JWT"}, claims(nil), secret), "token_invalid", "wrong_algorithm"},
		"an unknown kid":          {forge(t, m{"alg": "HS256", "kid": "old"}, claims(nil), "another secret of 32 bytes or more"), "token_invalid", "unknown_key"},
		"crit":                    {forge(t, m{"alg": "HS256", "crit": []string{"x"}}, claims(nil), secret), "token_invalid", "malformed"},
		"a refresh token":         {forge(t, hs256, claims(m{"token_type": "refresh"}), secret), "token_invalid", "wrong_type"},
		"no token_type":           {forge(t, hs256, claims(m{"token_type": nil}), secret), "token_invalid", "wrong_type"},
		"expired":                 {forge(t, hs256, claims(m{"exp": time.Now().Add(-time.Minute).Unix()}), secret), "token_expired", "expired"},
		"no exp":                  {forge(t, hs256, claims(m{"exp": nil}), secret), "token_invalid", "missing_exp"},
		"exp as text":             {forge(t, hs256, claims(m{"exp": "4102444800"}), secret), "token_invalid", "bad_exp"},
		"exp in milliseconds":     {forge(t, hs256, claims(m{"exp": time.Now().UnixMilli()}), secret), "token_invalid", "bad_exp"},
		"nbf ahead":               {forge(t, hs256, claims(m{"nbf": ahead()}), secret), "token_invalid", "not_yet_valid"},
		"iat ahead":               {forge(t, hs256, claims(m{"iat": ahead()}), secret), "token_invalid", "not_yet_valid"},
		"user_id null":            {forge(t, hs256, claims(m{"user_id": json.RawMessage("null")}), secret), "token_invalid", "bad_user_id"},
		"user_id 1.5":             {forge(t, hs256, claims(m{"user_id": 1.5}), secret), "token_invalid", "bad_user_id"},
		"user_id 0":               {forge(t, hs256, claims(m{"user_id": 0}), secret), "token_invalid", "bad_user_id"},
		"user_id -1":              {forge(t, hs256, claims(m{"user_id": -1}), secret), "token_invalid", "bad_user_id"},
		"user_id 01":              {forge(t, hs256, claims(m{"user_id": "01"}), secret), "token_invalid", "bad_user_id"},
		"user_id 2^53":            {forge(t, hs256, claims(m{"user_id": 1 << 53}), secret), "token_invalid", "bad_user_id"},
		"user_id true":            {forge(t, hs256, claims(m{"user_id": true}), secret), "token_invalid", "bad_user_id"},
		"no user_id":              {forge(t, hs256, claims(m{"user_id": nil}), secret), "token_invalid", "missing_user_id"},
		"a user who is not there": {r.world.token(t, nobody), "user_unknown", ""},
		"an inactive user":        {r.world.token(t, inactive), "user_inactive", ""},
		"signed out everywhere":   {r.world.token(t, revoked), "token_revoked", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, path := range []string{"/ws/chat/1/2/", "/ws/location/1/2/"} {
				s := r.connect(t, dial{path: path, query: url.Values{"token": {c.token}}})
				g := s.refusal(t, 4001, c.reason)
				if !strings.HasPrefix(g.Detail, c.word) {
					t.Errorf("detail is %q, want the word %q first", g.Detail, c.word)
				}
				ref := s.header.Get("Roomspa-Ref")
				eventually(t, patience, "the end is logged", func() (bool, any) {
					lines := r.text.about(ref)
					return strings.Contains(lines, "WebSocket disconnected"), lines
				})
				lines := r.text.about(ref)
				for _, want := range []string{"Processing connection for path: " + path, "User authenticated: False, User: AnonymousUser", "Connection rejected - user not authenticated"} {
					if !strings.Contains(lines, want) {
						t.Errorf("no line %q in:\n%s", want, lines)
					}
				}
				if len(c.token) > 19 && strings.Contains(lines, c.token) {
					t.Errorf("the token is in the log:\n%s", lines)
				}
			}
		})
	}
}

func TestATokenThatIsAccepted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.ready(t, "a", func(o *app.Options) {
		o.JWTSecrets = []string{secret, "old=the former secret, 32 bytes or more"}
	})
	for name, mint := range map[string]func() string{
		"user_id as a number": func() string { return forge(t, hs256, claims(nil), secret) },
		"user_id as text":     func() string { return forge(t, hs256, claims(m{"user_id": "1"}), secret) },
		"exp with a fraction": func() string { return forge(t, hs256, claims(m{"exp": float64(ahead()) + .5}), secret) },
		"no iat, no jti":      func() string { return forge(t, hs256, claims(m{"iat": nil, "jti": nil}), secret) },
		"clocks that differ by 3 s": func() string {
			return forge(t, hs256, claims(m{"iat": time.Now().Unix() + 3, "nbf": time.Now().Unix() + 3}), secret)
		},
		"expired a second ago": func() string { return forge(t, hs256, claims(m{"exp": time.Now().Unix() - 1}), secret) },
		"the former secret, by kid": func() string {
			return forge(t, m{"alg": "HS256", "kid": "old"}, claims(nil), "the former secret, 32 bytes or more")
		},
		"the former secret, without kid":    func() string { return forge(t, hs256, claims(nil), "the former secret, 32 bytes or more") },
		"the current secret, a strange kid": func() string { return forge(t, m{"alg": "HS256", "kid": "?"}, claims(nil), secret) },
	} {
		t.Run(name, func(t *testing.T) {
			s := r.connect(t, dial{path: "/ws/chat/1/2/", query: url.Values{"token": {mint()}}})
			s.want(t, "connected")
		})
	}
}

func TestWhereATokenMayStand(t *testing.T) {
	t.Parallel()
	r := newWorld(t).ready(t, "a")
	good, other := r.world.token(t, customer), r.world.token(t, therapist)
	bearer := func(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }
	for name, c := range map[string]struct {
		dial
		reason, word string // empty: it is accepted
		protocol     string // that the server answers
	}{
		"subprotocol":                         {dial: dial{subprotocols: []string{"bearer", good}}, protocol: "bearer"},
		"subprotocol behind another one":      {dial: dial{subprotocols: []string{"chat.v1", "bearer", good}}, protocol: "bearer"},
		"header":                              {dial: dial{header: bearer(good)}},
		"header in lower case":                {dial: dial{header: http.Header{"Authorization": {"bearer " + good}}}},
		"query":                               {dial: dial{query: url.Values{"token": {good}}}},
		"the same in all three":               {dial: dial{subprotocols: []string{"bearer", good}, header: bearer(good), query: url.Values{"token": {good}}}, protocol: "bearer"},
		"no token":                            {dial: dial{}, reason: "token_missing"},
		"an empty one":                        {dial: dial{query: url.Values{"token": {""}}}, reason: "token_missing"},
		"another scheme":                      {dial: dial{header: http.Header{"Authorization": {"Basic dTpw"}}}, reason: "token_missing"},
		"bearer without a token":              {dial: dial{subprotocols: []string{"bearer"}}, reason: "token_missing", protocol: "bearer"},
		"two that differ: header and query":   {dial: dial{header: bearer(good), query: url.Values{"token": {other}}}, reason: "token_invalid", word: "two_tokens"},
		"two that differ: protocol and query": {dial: dial{subprotocols: []string{"bearer", good}, query: url.Values{"token": {other}}}, reason: "token_invalid", word: "two_tokens", protocol: "bearer"},
		"two that differ in the query":        {dial: dial{query: url.Values{"token": {good, other}}}, reason: "token_invalid", word: "two_tokens"},
		"a bad one as subprotocol":            {dial: dial{subprotocols: []string{"bearer", "garbage"}}, reason: "token_invalid", word: "malformed", protocol: "bearer"},
	} {
		t.Run(name, func(t *testing.T) {
			c.path = "/ws/chat/1/2/"
			s := r.connect(t, c.dial)
			if got := s.header.Get("Sec-Websocket-Protocol"); got != c.protocol {
				t.Errorf("Sec-WebSocket-Protocol is %q, want %q", got, c.protocol)
			}
			if got := s.header.Get("Sec-Websocket-Extensions"); got != "" {
				t.Errorf("Sec-WebSocket-Extensions is %q: compression is never negotiated", got)
			}
			if c.reason == "" {
				if g := s.want(t, "connected"); g.Ref != s.header.Get("Roomspa-Ref") {
					t.Errorf("ref is %q in the frame and %q in the header", g.Ref, s.header.Get("Roomspa-Ref"))
				}
				return
			}
			if g := s.refusal(t, 4001, c.reason); !strings.HasPrefix(g.Detail, c.word) {
				t.Errorf("detail is %q, want the word %q first", g.Detail, c.word)
			}
		})
	}
}

func TestATokenThatExpiresClosesItsSocket(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.ready(t, "a")
	for name, path := range map[string]string{"chat": "/ws/chat/1/2/", "location": "/ws/location/1/2/"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The leeway of 5 s counts here too, so this one has four seconds left or so.
			exp := time.Now().Unix() - 1
			s := r.connect(t, dial{path: path, query: url.Values{"token": {forge(t, hs256, claims(m{"exp": exp}), secret)}}})
			s.want(t, "connected")
			s.refusal(t, 4001, "token_expired")
			if late := time.Since(time.Unix(exp, 0)); late < 5*time.Second || late > busy(8*time.Second) {
				t.Errorf("closed %v after exp, want 5 s and a little more", late)
			}
			line := `roomspa_closes_total{code="4001",endpoint="` + name + `",reason="token_expired"}`
			eventually(t, patience, line, func() (bool, any) {
				n := r.metric(t, line)
				return n == 1, n
			})
		})
	}
}
