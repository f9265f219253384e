package handshake_test

import (
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestPathsThatAreNoRoom(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a")
	auth := "Authorization: Bearer " + w.Token(t, world.Customer)
	for _, endpoint := range []string{"chat", "location"} {
		for path, reason := range map[string]string{
			"":                        "missing_customer_id",
			"/":                       "missing_customer_id",
			"//":                      "missing_customer_id",
			"//2/":                    "missing_customer_id",
			"//2":                     "missing_customer_id",
			"//x/":                    "missing_customer_id",
			"/1":                      "missing_therapist_id",
			"/1/":                     "missing_therapist_id",
			"/1//":                    "missing_therapist_id",
			"/x/":                     "missing_therapist_id",
			"/x/2/":                   "bad_id",
			"/1/x/":                   "bad_id",
			"/+1/2/":                  "bad_id",
			"/1/+2":                   "bad_id",
			"/01/2/":                  "bad_id",
			"/0/2/":                   "bad_id",
			"/-1/2/":                  "bad_id",
			"/1.0/2/":                 "bad_id",
			"/1e0/2/":                 "bad_id",
			"/9007199254740992/2/":    "bad_id",
			"/9223372036854775808/2/": "bad_id",
			"/99999999999999999999999999999999999999999999999999/2/": "bad_id",
			"/%31/2/":          "bad_id",
			"/1/%32":           "bad_id",
			"/1%2f2/":          "missing_therapist_id",
			"/%2e%2e/2/":       "bad_id",
			"/%F0%9F%92%A9/2/": "bad_id",
			"/1%00/2/":         "bad_id",
			"/1;a/2/":          "bad_id",
		} {
			t.Run(endpoint+path, func(t *testing.T) {
				t.Parallel()
				res, frames := r.Raw(t, world.Upgrade("/ws/"+endpoint+path, auth)...)
				if res.StatusCode != http.StatusSwitchingProtocols {
					t.Fatalf("status %d: %s", res.StatusCode, frames)
				}
				ref := res.Header.Get("Roomspa-Ref")
				g, code, text := world.ParseRefusal(t, frames)
				if code != 4000 || text != reason+" ref="+ref || g.Code != reason || g.Ref != ref || g.Close != 4000 {
					t.Errorf("frame %s, closed with %d %q; want 4000 %s ref=%s", g.Raw, code, text, reason, ref)
				}
			})
		}
		for _, path := range []string{"/1/2/3/", "/1/2/3", "/1/2//", "//1/2/", "////", "/./2/", "/1/..", "/../1/2/"} {
			t.Run(endpoint+path, func(t *testing.T) {
				t.Parallel()
				res, body := r.Raw(t, world.Upgrade("/ws/"+endpoint+path, auth)...)
				world.ExpectProblem(t, res, body, http.StatusNotFound)
			})
		}
	}
}

func TestPathsThatAreNowhere(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a", world.TrustLoopback)
	for i, path := range []string{
		"/", "/ws", "/ws/", "/ws//", "//ws/chat/1/2/", "///ws/chat/1/2/", "/ws/./chat/1/2/", "/ws/../ws/chat/1/2/", "/ws//chat/1/2/",
		"/ws/chats/1/2/", "/ws/Chat/1/2/", "/WS/chat/1/2/", "/ws/test//", "/ws/test/x/", "/ws/test/./", "/x/../ws/test/", "/wsx/test/",
		"/%77s/test/", "/login//", "/console", "/metrics", "/readyz", "/debug/pprof/", "http://example.com/nowhere",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			client := "X-Forwarded-For: 192.0.2." + strconv.Itoa(i) // ten warnings of one client are logged
			res, body := r.Raw(t, world.Upgrade(path, client)...)
			d := world.ExpectProblem(t, res, body, http.StatusNotFound)
			if !slices.Contains(d.Paths, "/ws/chat/{customer_id}/{therapist_id}/") {
				t.Errorf("the paths there are: %q", d.Paths)
			}
			world.Eventually(t, "it is logged", func() (bool, any) {
				lines := r.Log.About(d.Ref)
				return strings.Contains(lines, "404 no_such_path"), lines
			})
		})
	}
}

func TestPathsThatAreThere(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a")
	for _, path := range []string{"/ws/test", "/ws/test/", "/ws/chat/1/2", "/ws/chat/1/2/", "/ws/location/1/2", "/ws/location/1/2/"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			s := r.ConnectAs(t, world.Customer, path, nil)
			if strings.HasPrefix(path, "/ws/test") {
				s.Send(t, "hello")
				if g := s.Next(t); g.Raw != "hello" || g.Binary {
					t.Errorf("echo: %+v", g)
				}
				return
			}
			s.Expect(t, "connected")
		})
	}
}

func TestWhatIsNoHandshake(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a", func(o *app.Options) { o.Origins = []string{"https://app.example.org"} })
	whole := func(more ...string) []string { return world.Upgrade("/ws/test/", more...) }
	// At most ten with the same code: the log has no more warnings a minute of one stranger.
	first := func(line string, rest []string) []string { return append([]string{line}, rest[1:]...) }
	for name, c := range map[string]struct {
		request []string
		status  int
		code    string
		detail  string // part of it
		header  string // that must be there
	}{
		"plain GET":                         {[]string{"GET /ws/chat/1/2/ HTTP/1.1", "Host: x"}, 426, "upgrade_required", "WebSocket client", "Upgrade"},
		"Upgrade was not forwarded":         {world.Without(whole(), "Upgrade"), 426, "upgrade_required", "a proxy in front does not forward", "Upgrade"},
		"Connection was not forwarded":      {world.Without(whole(), "Connection"), 426, "upgrade_required", "a proxy in front does not forward", "Upgrade"},
		"Connection was rewritten":          {append(world.Without(whole(), "Connection"), "Connection: close"), 426, "upgrade_required", "a proxy in front does not forward", "Upgrade"},
		"Upgrade to something else":         {append(world.Without(whole(), "Upgrade"), "Upgrade: h2c"), 426, "upgrade_required", "a proxy", "Upgrade"},
		"version 8":                         {append(world.Without(whole(), "Sec-WebSocket-Version"), "Sec-WebSocket-Version: 8"), 426, "upgrade_required", "version 13", "Sec-Websocket-Version"},
		"no version":                        {world.Without(whole(), "Sec-WebSocket-Version"), 426, "upgrade_required", "version 13", "Sec-Websocket-Version"},
		"HTTP/1.0":                          {first("GET /ws/test/ HTTP/1.0", whole()), 426, "upgrade_required", "HTTP/1.0", "Upgrade"},
		"no key":                            {world.Without(whole(), "Sec-WebSocket-Key"), 400, "bad_websocket_key", "16 bytes", ""},
		"a short key":                       {append(world.Without(whole(), "Sec-WebSocket-Key"), "Sec-WebSocket-Key: c2hvcnQ="), 400, "bad_websocket_key", "16 bytes", ""},
		"POST":                              {first("POST /ws/test/ HTTP/1.1", whole()), 405, "method_not_allowed", "GET", "Allow"},
		"DELETE":                            {first("DELETE /ws/chat/1/2 HTTP/1.1", whole()), 405, "method_not_allowed", "GET", "Allow"},
		"a foreign origin":                  {whole("Origin: https://evil.example"), 403, "origin_refused", "evil.example", ""},
		"the own host as a part":            {whole("Origin: https://example.com.evil.example"), 403, "origin_refused", "", ""},
		"the own host, another port":        {whole("Origin: https://example.com:8443"), 403, "origin_refused", "", ""},
		"a listed origin over plain HTTP":   {whole("Origin: http://app.example.org"), 403, "origin_refused", "", ""},
		"a listed origin as a part":         {whole("Origin: https://app.example.org.evil.example"), 403, "origin_refused", "", ""},
		"two origins":                       {whole("Origin: https://example.com", "Origin: https://evil.example"), 400, "several_origins", "", ""},
		"two origins, both allowed":         {whole("Origin: https://example.com", "Origin: https://example.com"), 400, "several_origins", "", ""},
		"an origin with a user":             {whole("Origin: https://user@example.com"), 403, "origin_refused", "", ""},
		"an origin of another scheme":       {whole("Origin: ftp://example.com"), 403, "origin_refused", "", ""},
		"an origin with a path":             {whole("Origin: https://example.com/path"), 403, "origin_refused", "", ""},
		"origin null":                       {whole("Origin: null"), 403, "origin_refused", "", ""},
		"an origin that is no URL":          {whole("Origin: ://"), 403, "origin_refused", "", ""},
		"unknown path before wrong version": {first("GET /ws/nowhere HTTP/1.1", world.Without(whole(), "Sec-WebSocket-Version")), 404, "no_such_path", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res, body := r.Raw(t, c.request...)
			d := world.ExpectProblem(t, res, body, c.status)
			if d.Code != c.code || !strings.Contains(d.Detail, c.detail) {
				t.Errorf("got %s %q, want %s with %q", d.Code, d.Detail, c.code, c.detail)
			}
			if c.header != "" && res.Header.Get(c.header) == "" {
				t.Errorf("no header %s in %v", c.header, res.Header)
			}
			if c.status == 426 && res.Header.Get("Sec-Websocket-Version") != "13" {
				t.Errorf("Sec-WebSocket-Version is %q", res.Header.Get("Sec-Websocket-Version"))
			}
			world.Eventually(t, "it is logged", func() (bool, any) {
				lines := r.Log.About(d.Ref)
				return strings.Contains(lines, "[Handshake] Refused before the upgrade: "+strconv.Itoa(c.status)+" "+c.code), lines
			})
		})
	}
	for name, origin := range map[string]string{
		"none":                   "Accept: */*",
		"the own host":           "Origin: https://example.com",
		"the own host, over TLS": "Origin: http://EXAMPLE.com",
		"a listed one":           "Origin: https://app.example.org",
	} {
		t.Run("origin that is let in: "+name, func(t *testing.T) {
			t.Parallel()
			res, body := r.Raw(t, world.Upgrade("/ws/test/?close=1000", origin)...)
			if res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("Sec-Websocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
				t.Errorf("status %d: %s", res.StatusCode, body)
			}
		})
	}
}

func TestTheClientsAddressIsThatOfATrustedProxysHeader(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	trusting := w.Start(t, "trusting", func(o *app.Options) {
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}
	})
	wary := w.Start(t, "wary")
	proxied := w.Start(t, "proxied", world.TrustLoopback, func(o *app.Options) {
		o.ProxyProtocol = true
	})
	forwarded := "X-Forwarded-For: 6.6.6.6, 203.0.113.9, 10.1.2.3"
	remote := func(r *world.Replica, lines ...string) string {
		res, _ := r.Raw(t, lines...)
		line := r.Log.About(res.Header.Get("Roomspa-Ref"))
		_, after, _ := strings.Cut(line, "remote=")
		addr, _, _ := strings.Cut(after, " ")
		return addr
	}
	if got := remote(trusting, world.Upgrade("/ws/nowhere", forwarded)...); got != "203.0.113.9" {
		t.Errorf("behind a trusted proxy the client is %q", got)
	}
	if got := remote(wary, world.Upgrade("/ws/nowhere", forwarded)...); !strings.HasPrefix(got, "127.0.0.1:") {
		t.Errorf("without a trusted proxy the client is %q", got)
	}
	if got := remote(proxied, append([]string{"PROXY TCP4 203.0.113.7 10.0.0.1 4711 8000"}, world.Upgrade("/ws/nowhere")...)...); got != "203.0.113.7:4711" {
		t.Errorf("behind the PROXY protocol the client is %q", got)
	}
}
