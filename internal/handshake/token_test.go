package handshake_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// Every word that a token can be refused with, and how the handshake tells it. The rules themselves are tested in
// internal/auth.
func TestATokenThatIsRefused(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a")
	for name, c := range map[string]struct {
		token, reason, word string
	}{
		"garbage":                 {"garbage", "token_invalid", "malformed"},
		"claims are not UTF-8":    {world.Forge(t, world.HS256, "{\"user_id\":\"\xff\"}", world.Secret), "token_invalid", "malformed"},
		"longer than 8 KiB":       {world.Sign(t, m{"x": strings.Repeat("x", 8<<10)}), "token_invalid", "too_long"},
		"wrong signature":         {world.Forge(t, world.HS256, world.Claims(nil), strings.Repeat("x", 40)), "token_invalid", "bad_signature"},
		"alg none":                {world.Forge(t, m{"alg": "none"}, world.Claims(nil), world.Secret), "token_invalid", "wrong_algorithm"},
		"an unknown kid":          {world.Forge(t, m{"alg": "HS256", "kid": "old"}, world.Claims(nil), "another secret of 32 bytes or more"), "token_invalid", "unknown_key"},
		"a refresh token":         {world.Sign(t, m{"token_type": "refresh"}), "token_invalid", "wrong_type"},
		"expired":                 {world.Sign(t, m{"exp": time.Now().Add(-time.Minute).Unix()}), "token_expired", "expired"},
		"no exp":                  {world.Sign(t, m{"exp": nil}), "token_invalid", "missing_exp"},
		"exp in milliseconds":     {world.Sign(t, m{"exp": time.Now().UnixMilli()}), "token_invalid", "bad_exp"},
		"nbf ahead":               {world.Sign(t, m{"nbf": world.Ahead()}), "token_invalid", "not_yet_valid"},
		"user_id 01":              {world.Sign(t, m{"user_id": "01"}), "token_invalid", "bad_user_id"},
		"no user_id":              {world.Sign(t, m{"user_id": nil}), "token_invalid", "missing_user_id"},
		"a user who is not there": {r.World.Token(t, world.Nobody), "user_unknown", ""},
		"an inactive user":        {r.World.Token(t, world.Inactive), "user_inactive", ""},
		"signed out everywhere":   {r.World.Token(t, world.Revoked), "token_revoked", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, path := range []string{"/ws/chat/1/2/", "/ws/location/1/2/"} {
				s := r.Connect(t, world.Handshake{Path: path, Query: url.Values{"token": {c.token}}})
				g := s.ExpectRefusal(t, 4001, c.reason)
				if !strings.HasPrefix(g.Detail, c.word) {
					t.Errorf("detail is %q, want %q in it", g.Detail, c.word)
				}
				ref := s.Ref()
				world.Eventually(t, "the end is logged", func() (bool, any) {
					lines := r.Log.About(ref)
					return strings.Contains(lines, "WebSocket disconnected"), lines
				})
				lines := r.Log.About(ref)
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

func TestARefreshTokenIsRefusedAndCounted(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a")
	for _, token := range []string{
		world.Sign(t, m{"token_type": "refresh"}), world.Sign(t, m{"token_type": "sliding"}),
		world.Forge(t, world.HS256, world.Claims(m{"token_type": "refresh"}), strings.Repeat("x", 40)),
	} {
		r.Connect(t, world.Handshake{Path: "/ws/chat/1/2/", Query: url.Values{"token": {token}}}).ExpectRefusal(t, 4001, "token_invalid")
	}
	if n := r.Metric(t, "roomspa_refresh_tokens_refused_total"); n != 1 {
		t.Errorf("%v are counted, want the one of a good issuer", n)
	}
}

func TestATokenThatIsAccepted(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	keys := filepath.Join(t.TempDir(), "keys.json")
	text := `{"keys": [{"secret": "` + world.Secret + `"}, {"kid": "old", "secret": "the former secret, 32 bytes or more"}]}`
	if err := os.WriteFile(keys, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := w.Ready(t, "a", func(o *app.Options) {
		o.JWTSecrets, o.JWTKeysFile = nil, keys
	})
	for name, mint := range map[string]func() string{
		"user_id as a number": func() string { return world.Sign(t, nil) },
		"user_id as text":     func() string { return world.Sign(t, m{"user_id": "1"}) },
		"exp with a fraction": func() string { return world.Sign(t, m{"exp": float64(world.Ahead()) + .5}) },
		"no iat, no jti":      func() string { return world.Sign(t, m{"iat": nil, "jti": nil}) },
		"clocks that differ by 3 s": func() string {
			return world.Sign(t, m{"iat": time.Now().Unix() + 3, "nbf": time.Now().Unix() + 3})
		},
		"the former secret, by kid": func() string {
			return world.Forge(t, m{"alg": "HS256", "kid": "old"}, world.Claims(nil), "the former secret, 32 bytes or more")
		},
		"the former secret, without kid": func() string {
			return world.Forge(t, world.HS256, world.Claims(nil), "the former secret, 32 bytes or more")
		},
		"the current secret, a strange kid": func() string { return world.Forge(t, m{"alg": "HS256", "kid": "?"}, world.Claims(nil), world.Secret) },
	} {
		t.Run(name, func(t *testing.T) {
			s := r.Connect(t, world.Handshake{Path: "/ws/chat/1/2/", Query: url.Values{"token": {mint()}}})
			s.Expect(t, "connected")
		})
	}
}

func TestWhereATokenMayStand(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a")
	good, other := r.World.Token(t, world.Customer), r.World.Token(t, world.Therapist)
	bearer := func(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }
	for name, c := range map[string]struct {
		dial         world.Handshake
		reason, word string // empty: it is accepted
		protocol     string // that the server answers
	}{
		"subprotocol":                         {dial: world.Handshake{Subprotocols: []string{"bearer", good}}, protocol: "bearer"},
		"subprotocol behind another one":      {dial: world.Handshake{Subprotocols: []string{"chat.v1", "bearer", good}}, protocol: "bearer"},
		"header":                              {dial: world.Handshake{Header: bearer(good)}},
		"header in lower case":                {dial: world.Handshake{Header: http.Header{"Authorization": {"bearer " + good}}}},
		"query":                               {dial: world.Handshake{Query: url.Values{"token": {good}}}},
		"the same in all three":               {dial: world.Handshake{Subprotocols: []string{"bearer", good}, Header: bearer(good), Query: url.Values{"token": {good}}}, protocol: "bearer"},
		"no token":                            {dial: world.Handshake{}, reason: "token_missing"},
		"an empty one":                        {dial: world.Handshake{Query: url.Values{"token": {""}}}, reason: "token_missing"},
		"another scheme":                      {dial: world.Handshake{Header: http.Header{"Authorization": {"Basic dTpw"}}}, reason: "token_missing", word: "The Authorization header has the scheme Basic"},
		"a header that is no token":           {dial: world.Handshake{Header: http.Header{"Authorization": {"abc"}}}, reason: "token_missing", word: "The Authorization header has no scheme"},
		"scheme JWT":                          {dial: world.Handshake{Header: http.Header{"Authorization": {"JWT " + good}}}},
		"scheme Token":                        {dial: world.Handshake{Header: http.Header{"Authorization": {"Token " + good}}}},
		"no scheme":                           {dial: world.Handshake{Header: http.Header{"Authorization": {good}}}},
		"subprotocol in another case":         {dial: world.Handshake{Subprotocols: []string{"Bearer", good}}, protocol: "Bearer"},
		"an unknown subprotocol beside it":    {dial: world.Handshake{Subprotocols: []string{"json"}, Query: url.Values{"token": {good}}}, protocol: "json"},
		"a token behind another subprotocol":  {dial: world.Handshake{Subprotocols: []string{"access_token", good}}, reason: "token_missing", protocol: "access_token"},
		"a token as the only subprotocol":     {dial: world.Handshake{Subprotocols: []string{good}}, reason: "token_missing"},
		"bearer without a token":              {dial: world.Handshake{Subprotocols: []string{"bearer"}}, reason: "token_missing", protocol: "bearer"},
		"two that differ: header and query":   {dial: world.Handshake{Header: bearer(good), Query: url.Values{"token": {other}}}, reason: "token_invalid", word: "two_tokens"},
		"two that differ: protocol and query": {dial: world.Handshake{Subprotocols: []string{"bearer", good}, Query: url.Values{"token": {other}}}, reason: "token_invalid", word: "two_tokens", protocol: "bearer"},
		"two that differ in the query":        {dial: world.Handshake{Query: url.Values{"token": {good, other}}}, reason: "token_invalid", word: "two_tokens"},
		"a bad one as subprotocol":            {dial: world.Handshake{Subprotocols: []string{"bearer", "garbage"}}, reason: "token_invalid", word: "malformed", protocol: "bearer"},
	} {
		t.Run(name, func(t *testing.T) {
			c.dial.Path = "/ws/chat/1/2/"
			s := r.Connect(t, c.dial)
			if got := s.Header.Get("Sec-Websocket-Protocol"); got != c.protocol {
				t.Errorf("Sec-WebSocket-Protocol is %q, want %q", got, c.protocol)
			}
			if got := s.Header.Get("Sec-Websocket-Extensions"); got != "" {
				t.Errorf("Sec-WebSocket-Extensions is %q: compression is never negotiated", got)
			}
			if c.reason == "" {
				if g := s.Expect(t, "connected"); g.Ref != s.Ref() {
					t.Errorf("ref is %q in the frame and %q in the header", g.Ref, s.Ref())
				}
				return
			}
			if g := s.ExpectRefusal(t, 4001, c.reason); !strings.Contains(g.Detail, c.word) {
				t.Errorf("detail is %q, want %q in it", g.Detail, c.word)
			}
		})
	}
}

// Times are tested in internal/session, in virtual time; here counts that a replica gives a token its leeway.
func TestATokenThatExpiresClosesItsSocket(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a")
	for name, path := range map[string]string{"chat": "/ws/chat/1/2/", "location": "/ws/location/1/2/"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s *world.Socket
			var exp time.Time
			for life := -time.Second; ; life += 10 * time.Second { // a busy machine may not be connected before the end
				exp = time.Unix(time.Now().Add(life).Unix(), 0)
				s = r.Connect(t, world.Handshake{Path: path, Query: url.Values{"token": {world.Sign(t, m{"exp": exp.Unix()})}}})
				if s.Next(t).Type == "connected" {
					break
				}
			}
			if c, _ := s.WaitClose(t); c.Code != 4001 || c.Reason != "token_expired ref="+s.Ref() {
				t.Errorf("closed with %v", c)
			}
			if late := time.Since(exp); late < auth.Leeway {
				t.Errorf("closed %v after exp, want %v or more", late, auth.Leeway)
			}
			line := `roomspa_closes_total{code="4001",endpoint="` + name + `",reason="token_expired"}`
			world.Eventually(t, line, func() (bool, any) {
				n := r.Metric(t, line)
				return n >= 1, n
			})
		})
	}
}

// What a renewed token changes about the times is tested in internal/session, in virtual time.
func TestASocketTakesANewToken(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a")
	for name, path := range map[string]string{"chat": "/ws/chat/1/2/", "location": "/ws/location/1/2/"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := time.Now().Unix()
			s := r.Connect(t, world.Handshake{Path: path, Query: url.Values{"token": {world.Sign(t, m{"iat": now})}}})
			s.Expect(t, "connected")
			s.Send(t, `{"type":"auth","token":"`+world.Sign(t, m{"iat": now, "exp": now + 7200})+`"}`)
			s.ExpectNothing(t)
			for _, c := range []struct{ token, code, word string }{
				{w.Token(t, world.Therapist), "token_invalid", "another_user"},
				{world.Sign(t, m{"iat": now - 60}), "token_invalid", "older_token"},
				{world.Forge(t, world.HS256, world.Claims(nil), strings.Repeat("x", 40)), "token_invalid", "bad_signature"},
				{world.Sign(t, m{"token_type": "refresh"}), "token_invalid", "wrong_type"},
				{world.Sign(t, m{"exp": now - 60}), "token_expired", "expired"},
				{"", "token_missing", ""},
			} {
				s.Send(t, `{"type":"auth","token":"`+c.token+`"}`)
				if f := s.ExpectError(t, c.code, "token"); !strings.HasPrefix(f.Detail, c.word) {
					t.Errorf("detail %q, want %q in it", f.Detail, c.word)
				}
			}
			s.Send(t, `{"type":"auth","token":"`+w.Token(t, world.Customer)+`"}`)
			s.ExpectNothing(t)
			log := r.Log.About(s.Ref())
			if strings.Count(log, "Token renewed") != 2 || strings.Count(log, "Token not renewed") != 5 || strings.Contains(log, "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.") {
				t.Errorf("the log:\n%s", log)
			}
		})
	}
}

func TestASocketLivesOnWhilePostgresIsAway(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.OwnPostgres)
	r := w.Ready(t, "a")
	s := r.Chat(t, world.Customer)
	if err := w.Postgres.Kill(); err != nil {
		t.Fatal(err)
	}
	s.Send(t, `{"type":"auth","token":"`+w.Token(t, world.Customer)+`"}`)
	s.ExpectNothing(t)
}
