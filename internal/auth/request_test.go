package auth_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/auth"
)

func TestFromRequest(t *testing.T) {
	t.Parallel()
	const a, b, jwt = "aaa.bbb.ccc", "ddd.eee.fff", "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"
	for _, tt := range []struct {
		name          string
		protocols     []string
		authorization []string
		query         string
		header        string
		want          string
		word          string
		detail        string
	}{
		{name: "nothing", word: "missing"},
		{name: "the subprotocol pair in one line", protocols: []string{"bearer, " + a}, want: a},
		{name: "the pair without a space", protocols: []string{"bearer," + a}, want: a},
		{name: "the pair with spaces and tabs", protocols: []string{" bearer \t,\t " + a + " "}, want: a},
		{name: "the pair in two lines", protocols: []string{"bearer", a}, want: a},
		{name: "the pair behind another subprotocol", protocols: []string{"chat, bearer", a}, want: a},
		{name: "empty elements in between", protocols: []string{"bearer,, ," + a}, want: a},
		{name: "bearer with nothing behind it", protocols: []string{"bearer"}, word: "missing"},
		{name: "bearer with nothing behind it, and a query", protocols: []string{"bearer"}, query: "token=" + a, want: a},
		{name: "another subprotocol alone", protocols: []string{"chat, " + a}, word: "missing"},
		{name: "the pair in another case", protocols: []string{"Bearer, " + a}, want: a},
		{name: "the pair in the other order", protocols: []string{jwt + ", bearer"}, want: jwt},
		{name: "the pair in the other order before another subprotocol", protocols: []string{jwt, "Bearer, json"}, want: jwt},
		{name: "a token without bearer", protocols: []string{jwt}, word: "missing", detail: `among the WebSocket subprotocols, without "bearer" before it`},
		{name: "another query parameter", query: "access_token=" + jwt, word: "missing", detail: "in the query parameter access_token"},
		{name: "an odd query parameter", query: "x%0Ay=" + jwt, word: "missing", detail: "in the query parameter of another name"},
		{name: "another header", header: "X-Auth-Token: Bearer " + jwt, word: "missing", detail: "in the header X-Auth-Token"},
		{name: "a cookie", header: "Cookie: a=b; jwt=" + jwt, word: "missing", detail: "in the cookie jwt"},
		{name: "two pairs", protocols: []string{"bearer, " + a + ", bearer, " + b}, word: "two_tokens"},

		{name: "Authorization", authorization: []string{"Bearer " + a}, want: a},
		{name: "Authorization with the scheme in lower case", authorization: []string{"bearer " + a}, want: a},
		{name: "Authorization with the scheme in capitals and spaces", authorization: []string{" BEARER   " + a + " "}, want: a},
		{name: "Authorization of another scheme", authorization: []string{"Basic dXNlcjpwYXNz"}, word: "missing"},
		{name: "Authorization of another scheme, and a query", authorization: []string{"Basic dXNlcjpwYXNz"}, query: "token=" + a, want: a},
		{name: "Authorization without a token", authorization: []string{"Bearer"}, word: "missing"},
		{name: "Authorization without a scheme", authorization: []string{a}, want: a},
		{name: "Authorization that is neither", authorization: []string{"abc"}, word: "missing"},
		{name: "Authorization with the scheme JWT", authorization: []string{"JWT " + a}, want: a},
		{name: "Authorization with the scheme Token", authorization: []string{"token " + a}, want: a},

		{name: "query", query: "token=" + a, want: a},
		{name: "query among others", query: "since=41&token=" + a + "&last_code=1006", want: a},
		{name: "query with an empty token", query: "token=", word: "missing"},
		{name: "query that cannot be decoded", query: "token=%zz", want: "%zz"},
		{name: "query with a semicolon", query: "token=a;b&since=1", want: "a;b"},
		{name: "query with other things that cannot be decoded", query: "%zz=%&&=&token=" + a, want: a},
		{name: "query in capitals", query: "TOKEN=" + a, word: "missing"},
		{name: "query with two tokens", query: "token=" + a + "&token=" + b, word: "two_tokens"},

		{name: "the same token in all places", protocols: []string{"bearer, " + a}, authorization: []string{"Bearer " + a}, query: "token=" + a, want: a},
		{name: "two tokens: subprotocol and Authorization", protocols: []string{"bearer, " + a}, authorization: []string{"Bearer " + b}, word: "two_tokens"},
		{name: "two tokens: subprotocol and query", protocols: []string{"bearer, " + a}, query: "token=" + b, word: "two_tokens"},
		{name: "two tokens: Authorization and query", authorization: []string{"Bearer " + a}, query: "token=" + b, word: "two_tokens"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/ws/chat/1/2/?"+tt.query, nil)
			for _, line := range tt.protocols {
				r.Header.Add("Sec-WebSocket-Protocol", line)
			}
			for _, line := range tt.authorization {
				r.Header.Add("Authorization", line)
			}
			if name, value, ok := strings.Cut(tt.header, ": "); ok {
				r.Header.Set(name, value)
			}
			got, err := auth.FromRequest(r)
			if tt.detail != "" && !strings.Contains(fmt.Sprint(err), tt.detail+": send it as") {
				t.Errorf("%v, want %s", err, tt.detail)
			}
			switch {
			case tt.word == "missing":
				refused(t, err, auth.TokenMissing, tt.word)
			case tt.word != "":
				refused(t, err, auth.TokenInvalid, tt.word)
			case err != nil:
				t.Error(err)
			}
			if got != tt.want {
				t.Errorf("token %q, want %q", got, tt.want)
			}
		})
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, token, want string }{
		{"a JWT shows 19 characters of its header", signA(good), "eyJhbGciOiJIUzI1NiI..."},
		{"a header that ends there shows no more", b64(`{"alg":"none"}`) + ".e30.", "<not a JWT, 24 bytes>"},
		{"a header of 20 characters shows 19", b64(`{"alg":"HS256"}`) + ".e30.x", "eyJhbGciOiJIUzI1NiJ..."},
		{"nothing", "", "<not a JWT, 0 bytes>"},
		{"a password", "correct horse battery staple", "<not a JWT, 28 bytes>"},
		{"a password with a dot", "correct-horse-battery-staple.", "<not a JWT, 29 bytes>"},
		{"a header without a dot", b64(hs256), "<not a JWT, 36 bytes>"},
		{"JSON without alg", b64(`{"password":"correct horse"}`) + ".x.y", "<not a JWT, 42 bytes>"},
		{"JSON that is no object", b64(`"correct horse battery"`) + ".x.y", "<not a JWT, 35 bytes>"},
		{"a line break, which Go's decoder would skip", "eyJ\n" + b64(hs256)[3:] + ".x.y", "<not a JWT, 41 bytes>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := auth.Redact(tt.token); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzRedact(f *testing.F) {
	f.Add(signA(good))
	f.Add("correct horse battery staple")
	f.Add(b64(`{"alg":"none"}`) + "..")
	f.Fuzz(func(t *testing.T, token string) {
		got := auth.Redact(token)
		if strings.HasPrefix(got, "<not a JWT, ") {
			return
		}
		shown, found := strings.CutSuffix(got, "...")
		head, _, _ := strings.Cut(token, ".")
		if !found || len(shown) != 19 || len(head) <= 19 || !strings.HasPrefix(head, shown) {
			t.Errorf("Redact(%q) is %q", token, got)
		}
	})
}

func FuzzFromRequest(f *testing.F) {
	f.Add("bearer, a.b.c", "Bearer a.b.c", "token=a.b.c")
	f.Add("chat", "Basic x", "token=%zz")
	f.Add("bearer", "", ";token=a")
	f.Fuzz(func(t *testing.T, protocols, authorization, query string) {
		r := &http.Request{URL: &url.URL{RawQuery: query}, Header: http.Header{
			"Sec-Websocket-Protocol": {protocols}, "Authorization": {authorization},
		}}
		token, err := auth.FromRequest(r)
		if (token == "") == (err == nil) {
			t.Fatalf("token %q, error %v", token, err)
		}
		if _, ok := errors.AsType[*auth.Refusal](err); err != nil && !ok {
			t.Errorf("error %v is no refusal", err)
		}
	})
}

func TestAcceptProtocol(t *testing.T) {
	t.Parallel()
	for offer, want := range map[string]string{
		"": "", "bearer, aaa.bbb.ccc": "bearer", "aaa.bbb.ccc, Bearer": "Bearer", "json, bearer, aaa.bbb.ccc": "bearer", "json, xml": "json",
		"access_token, aaa.bbb.ccc": "access_token", "aaa.bbb.ccc": "", "0123456789abcdef0123456789": "", "Bearer, bearer": "Bearer",
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/ws/chat/1/2/", nil)
		r.Header.Set("Sec-WebSocket-Protocol", offer)
		if got := auth.AcceptProtocol(r); got != want {
			t.Errorf("%q: accepted %q, want %q", offer, got, want)
		}
	}
}
