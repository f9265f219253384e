package app_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/app"
)

// raw sends a request as it is written, which no client library would: they
// normalise paths and headers.
func (r *replica) raw(t testing.TB, lines ...string) (*http.Response, []byte) {
	t.Helper()
	return r.rawThen(t, "", lines...)
}

// rawThen sends more bytes once there is a socket.
func (r *replica) rawThen(t testing.TB, wire string, lines ...string) (*http.Response, []byte) {
	t.Helper()
	conn, err := net.Dial("tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	from := bufio.NewReader(conn)
	res, err := http.ReadResponse(from, nil)
	if err != nil {
		t.Fatalf("%s: %v", lines[0], err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusSwitchingProtocols {
		_, _ = io.WriteString(conn, wire) // the server may hang up in the midst of it
		return res, upToClose(from)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, body
}

// shake is a whole opening handshake for a target.
func shake(target string, more ...string) []string {
	return append([]string{
		"GET " + target + " HTTP/1.1", "Host: example.com", "Upgrade: websocket", "Connection: keep-alive, Upgrade",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
	}, more...)
}

// without leaves out a header.
func without(lines []string, name string) []string {
	return slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+":") })
}

// A document is a problem as RFC 9457 has it.
type document struct {
	Type   string   `json:"type"`
	Title  string   `json:"title"`
	Status int      `json:"status"`
	Code   string   `json:"code"`
	Detail string   `json:"detail"`
	Ref    string   `json:"ref"`
	Paths  []string `json:"paths"`
}

// problem holds an answer before the upgrade to the contract.
func problemOf(t testing.TB, res *http.Response, body []byte, status int) document {
	t.Helper()
	if res.StatusCode != status {
		t.Fatalf("status %d, want %d: %s", res.StatusCode, status, body)
	}
	var d document
	if err := json.Unmarshal(body, &d); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if ct := res.Header.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("Content-Type is %q", ct)
	}
	if d.Status != status || d.Type == "" || d.Title == "" || d.Code == "" || d.Detail == "" {
		t.Errorf("a problem document has a type, a title, the status, a code and a detail: %s", body)
	}
	if ref := res.Header.Get("Roomspa-Ref"); !refForm.MatchString(ref) || d.Ref != ref {
		t.Errorf("Roomspa-Ref is %q, the document's ref %q", ref, d.Ref)
	}
	if l := res.Header.Get("Location"); l != "" {
		t.Errorf("a redirect to %q", l)
	}
	return d
}

func TestPathsThatAreNoRoom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.ready(t, "a")
	auth := "Authorization: Bearer " + w.token(t, customer)
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
				res, frames := r.raw(t, shake("/ws/"+endpoint+path, auth)...)
				if res.StatusCode != http.StatusSwitchingProtocols {
					t.Fatalf("status %d: %s", res.StatusCode, frames)
				}
				ref := res.Header.Get("Roomspa-Ref")
				g, code, text := explained(t, frames)
				if code != 4000 || text != reason+" ref="+ref || g.Code != reason || g.Ref != ref || g.Close != 4000 {
					t.Errorf("frame %s, closed with %d %q; want 4000 %s ref=%s", g.raw, code, text, reason, ref)
				}
			})
		}
		for _, path := range []string{"/1/2/3/", "/1/2/3", "/1/2//", "//1/2/", "////", "/./2/", "/1/..", "/../1/2/"} {
			t.Run(endpoint+path, func(t *testing.T) {
				t.Parallel()
				res, body := r.raw(t, shake("/ws/"+endpoint+path, auth)...)
				problemOf(t, res, body, http.StatusNotFound)
			})
		}
	}
}

// upToClose reads what the server says until its Close, or until it hangs up.
func upToClose(from *bufio.Reader) (wire []byte) {
	for {
		head := make([]byte, 2)
		if _, err := io.ReadFull(from, head); err != nil {
			return wire
		}
		n := int(head[1])
		if n == 126 {
			head = append(head, 0, 0)
			_, _ = io.ReadFull(from, head[2:])
			n = int(head[2])<<8 | int(head[3])
		}
		payload := make([]byte, n)
		_, _ = io.ReadFull(from, payload)
		if wire = append(append(wire, head...), payload...); head[0]&15 == 8 {
			return wire
		}
	}
}

// explained takes an error frame and a Close from the wire; a server masks neither.
func explained(t testing.TB, wire []byte) (g got, code int, text string) {
	t.Helper()
	frame := func(opcode byte) []byte {
		if len(wire) < 2 || wire[0] != 0x80|opcode {
			t.Fatalf("want a frame of opcode %d, got % x", opcode, wire)
		}
		n, at := int(wire[1]), 2
		if n == 126 {
			n, at = int(wire[2])<<8|int(wire[3]), 4
		}
		payload := wire[at : at+n]
		wire = wire[at+n:]
		return payload
	}
	g.raw = string(frame(1))
	if err := json.Unmarshal([]byte(g.raw), &g); err != nil {
		t.Fatal(err)
	}
	c := frame(8)
	return g, int(c[0])<<8 | int(c[1]), string(c[2:])
}

func TestPathsThatAreNowhere(t *testing.T) {
	t.Parallel()
	r := newWorld(t).ready(t, "a")
	for _, path := range []string{
		"/", "/ws", "/ws/", "/ws//", "//ws/chat/1/2/", "///ws/chat/1/2/", "/ws/./chat/1/2/", "/ws/../ws/chat/1/2/", "/ws//chat/1/2/",
		"/ws/chats/1/2/", "/ws/Chat/1/2/", "/WS/chat/1/2/", "/ws/test//", "/ws/test/x/", "/ws/test/./", "/x/../ws/test/", "/wsx/test/",
		"/%77s/test/", "/login//", "/console", "/metrics", "/readyz", "/debug/pprof/", "http://example.com/nowhere",
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			res, body := r.raw(t, shake(path)...)
			d := problemOf(t, res, body, http.StatusNotFound)
			if !slices.Contains(d.Paths, "/ws/chat/{customer_id}/{therapist_id}/") {
				t.Errorf("the paths there are: %q", d.Paths)
			}
			eventually(t, patience, "it is logged", func() (bool, any) {
				lines := r.text.about(d.Ref)
				return strings.Contains(lines, "404 no_such_path"), lines
			})
		})
	}
}

func TestPathsThatAreThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.ready(t, "a")
	for _, path := range []string{"/ws/test", "/ws/test/", "/ws/chat/1/2", "/ws/chat/1/2/", "/ws/location/1/2", "/ws/location/1/2/"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			s := r.room(t, path, customer, nil)
			if strings.HasPrefix(path, "/ws/test") {
				s.send(t, "hello")
				if g := s.next(t); g.raw != "hello" || g.binary {
					t.Errorf("echo: %+v", g)
				}
				return
			}
			s.want(t, "connected")
		})
	}
}

func TestWhatIsNoHandshake(t *testing.T) {
	t.Parallel()
	r := newWorld(t).ready(t, "a", func(o *app.Options) { o.Origins = []string{"https://app.example.org"} })
	whole := func(more ...string) []string { return shake("/ws/test/", more...) }
	first := func(line string, rest []string) []string { return append([]string{line}, rest[1:]...) }
	for name, c := range map[string]struct {
		request []string
		status  int
		code    string
		detail  string // part of it
		header  string // that must be there
	}{
		"plain GET":                         {[]string{"GET /ws/chat/1/2/ HTTP/1.1", "Host: x"}, 426, "upgrade_required", "WebSocket client", "Upgrade"},
		"Upgrade was not forwarded":         {without(whole(), "Upgrade"), 426, "upgrade_required", "a proxy in front does not forward", "Upgrade"},
		"Connection was not forwarded":      {without(whole(), "Connection"), 426, "upgrade_required", "a proxy in front does not forward", "Upgrade"},
		"Connection was rewritten":          {append(without(whole(), "Connection"), "Connection: close"), 426, "upgrade_required", "a proxy in front does not forward", "Upgrade"},
		"Upgrade to something else":         {append(without(whole(), "Upgrade"), "Upgrade: h2c"), 426, "upgrade_required", "a proxy", "Upgrade"},
		"version 8":                         {append(without(whole(), "Sec-WebSocket-Version"), "Sec-WebSocket-Version: 8"), 426, "upgrade_required", "version 13", "Sec-Websocket-Version"},
		"no version":                        {without(whole(), "Sec-WebSocket-Version"), 426, "upgrade_required", "version 13", "Sec-Websocket-Version"},
		"HTTP/1.0":                          {first("GET /ws/test/ HTTP/1.0", whole()), 426, "upgrade_required", "HTTP/1.0", "Upgrade"},
		"no key":                            {without(whole(), "Sec-WebSocket-Key"), 400, "bad_websocket_key", "16 bytes", ""},
		"a short key":                       {append(without(whole(), "Sec-WebSocket-Key"), "Sec-WebSocket-Key: c2hvcnQ="), 400, "bad_websocket_key", "16 bytes", ""},
		"POST":                              {first("POST /ws/test/ HTTP/1.1", whole()), 405, "method_not_allowed", "GET", "Allow"},
		"DELETE":                            {first("DELETE /ws/chat/1/2 HTTP/1.1", whole()), 405, "method_not_allowed", "GET", "Allow"},
		"a foreign origin":                  {whole("Origin: https://evil.example"), 403, "origin_refused", "evil.example", ""},
		"the own host as a part":            {whole("Origin: https://example.com.evil.example"), 403, "origin_refused", "", ""},
		"the own host, another port":        {whole("Origin: https://example.com:8443"), 403, "origin_refused", "", ""},
		"a listed origin over plain HTTP":   {whole("Origin: http://app.example.org"), 403, "origin_refused", "", ""},
		"a listed origin as a part":         {whole("Origin: https://app.example.org.evil.example"), 403, "origin_refused", "", ""},
		"origin null":                       {whole("Origin: null"), 403, "origin_refused", "", ""},
		"an origin that is no URL":          {whole("Origin: ://"), 403, "origin_refused", "", ""},
		"unknown path before wrong version": {first("GET /ws/nowhere HTTP/1.1", without(whole(), "Sec-WebSocket-Version")), 404, "no_such_path", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			res, body := r.raw(t, c.request...)
			d := problemOf(t, res, body, c.status)
			if d.Code != c.code || !strings.Contains(d.Detail, c.detail) {
				t.Errorf("got %s %q, want %s with %q", d.Code, d.Detail, c.code, c.detail)
			}
			if c.header != "" && res.Header.Get(c.header) == "" {
				t.Errorf("no header %s in %v", c.header, res.Header)
			}
			if c.status == 426 && res.Header.Get("Sec-Websocket-Version") != "13" {
				t.Errorf("Sec-WebSocket-Version is %q", res.Header.Get("Sec-Websocket-Version"))
			}
			eventually(t, patience, "it is logged", func() (bool, any) {
				lines := r.text.about(d.Ref)
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
			res, body := r.raw(t, shake("/ws/test/?close=1000", origin)...)
			if res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("Sec-Websocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
				t.Errorf("status %d: %s", res.StatusCode, body)
			}
		})
	}
}

func TestTheOpsListenersPathsNeedNoSlashAndRedirectNobody(t *testing.T) {
	t.Parallel()
	r := newWorld(t).ready(t, "a")
	for path, want := range map[string]int{
		"/livez": 200, "/livez/": 200, "/readyz": 200, "/readyz/": 200, "/readyz/?verbose": 200, "/metrics": 200, "/metrics/": 200,
		"/debug/pprof": 200, "/debug/pprof/": 200, "/debug/pprof/heap": 200, "/debug/pprof/heap/": 200, "/debug/pprof/cmdline": 200,
		"/": 404, "/livez//": 404, "//livez": 404, "/./livez": 404, "/%6civez": 404, "/debug": 404, "/debug/pprof//": 404, "/debug/pprof/x": 404,
	} {
		status, header, body := get(t, "http://"+r.OpsAddr()+path)
		if status != want || header.Get("Location") != "" {
			t.Errorf("%s is %d (Location %q), want %d", path, status, header.Get("Location"), want)
		}
		if want != 200 && header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s is no problem document: %.100s", path, body)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.OpsAddr()+"/livez/", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := plain.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("a POST is answered with %d, Allow %q", res.StatusCode, res.Header.Get("Allow"))
	}
}

func TestTheClientsAddressIsThatOfATrustedProxysHeader(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	trusting := w.start(t, "trusting", func(o *app.Options) {
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}
	})
	wary := w.start(t, "wary")
	proxied := w.start(t, "proxied", func(o *app.Options) {
		o.TrustedProxies, o.ProxyProtocol = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, true
	})
	forwarded := "X-Forwarded-For: 6.6.6.6, 203.0.113.9, 10.1.2.3"
	remote := func(r *replica, lines ...string) string {
		res, _ := r.raw(t, lines...)
		ref := res.Header.Get("Roomspa-Ref")
		line := r.text.about(ref)
		_, after, _ := strings.Cut(line, "remote=")
		addr, _, _ := strings.Cut(after, " ")
		return addr
	}
	if got := remote(trusting, shake("/ws/nowhere", forwarded)...); got != "203.0.113.9" {
		t.Errorf("behind a trusted proxy the client is %q", got)
	}
	if got := remote(wary, shake("/ws/nowhere", forwarded)...); !strings.HasPrefix(got, "127.0.0.1:") {
		t.Errorf("without a trusted proxy the client is %q", got)
	}
	if got := remote(proxied, append([]string{"PROXY TCP4 203.0.113.7 10.0.0.1 4711 8000"}, shake("/ws/nowhere")...)...); got != "203.0.113.7:4711" {
		t.Errorf("behind the PROXY protocol the client is %q", got)
	}
}
