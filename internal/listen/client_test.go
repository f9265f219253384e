package listen

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestClientAddr(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for name, c := range map[string]struct {
		peer      string
		forwarded []string
		want      string
	}{
		"nobody in front":              {"203.0.113.1:1234", nil, "203.0.113.1:1234"},
		"a claim of the client's":      {"203.0.113.1:1234", []string{"6.6.6.6"}, "203.0.113.1:1234"},
		"a proxy":                      {"10.0.0.1:1234", []string{"203.0.113.1"}, "203.0.113.1"},
		"a proxy that adds the port":   {"10.0.0.1:1234", []string{"203.0.113.1:55"}, "203.0.113.1"},
		"two proxies":                  {"10.0.0.1:1234", []string{"203.0.113.1, 10.0.0.2"}, "203.0.113.1"},
		"two proxies, two lines":       {"10.0.0.1:1234", []string{"203.0.113.1", "10.0.0.2"}, "203.0.113.1"},
		"a claim in front of a proxy":  {"10.0.0.1:1234", []string{"6.6.6.6, 203.0.113.1"}, "203.0.113.1"},
		"a proxy that says nothing":    {"10.0.0.1:1234", nil, "10.0.0.1"},
		"a proxy that says nonsense":   {"10.0.0.1:1234", []string{"unknown"}, "10.0.0.1"},
		"nonsense behind a good hop":   {"10.0.0.1:1234", []string{"x, 203.0.113.1"}, "203.0.113.1"},
		"nonsense in front of a proxy": {"10.0.0.1:1234", []string{"203.0.113.1, x, 10.0.0.2"}, "10.0.0.2"},
		"only proxies":                 {"10.0.0.1:1234", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		"IPv6":                         {"[fd00::1]:1234", []string{"2001:db8::1"}, "2001:db8::1"},
		"IPv6 with a port":             {"[fd00::1]:1234", []string{"[2001:db8::1]:55"}, "2001:db8::1"},
		"IPv6 in brackets":             {"10.0.0.1:1234", []string{"[2001:db8::7]"}, "2001:db8::7"},
		"quotes, brackets and a port":  {"10.0.0.1:1234", []string{`"[2001:db8::7]:4711"`}, "2001:db8::7"},
		"quotes and brackets":          {"10.0.0.1:1234", []string{`"[2001:db8::7]"`}, "2001:db8::7"},
		"quotes":                       {"10.0.0.1:1234", []string{`" 203.0.113.9"`}, "203.0.113.9"},
		"quotes and a port":            {"10.0.0.1:1234", []string{`"203.0.113.9:80"`}, "203.0.113.9"},
		"one quote":                    {"10.0.0.1:1234", []string{`"203.0.113.9`}, "10.0.0.1"},
		"half of the brackets":         {"10.0.0.1:1234", []string{"[2001:db8::7"}, "10.0.0.1"},
		"a zone":                       {"10.0.0.1:1234", []string{"fe80::1%eth0"}, "fe80::1"},
		"empty entries":                {"10.0.0.1:1234", []string{"203.0.113.9, ,", ""}, "203.0.113.9"},
		"unknown by the last proxy":    {"10.0.0.1:1234", []string{"203.0.113.9, unknown"}, "10.0.0.1"},
		"IPv4 in IPv6":                 {"[::ffff:10.0.0.1]:1234", []string{"::ffff:203.0.113.1"}, "203.0.113.1"},
		"a line break in the header":   {"10.0.0.1:1234", []string{"203.0.113.1\nx"}, "10.0.0.1"},
		"no address at all":            {"pipe", []string{"203.0.113.1"}, "pipe"},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.forwarded}}
		if got := ClientAddr(r, trusted); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestAnUnreadableEntryIsLoggedOnceForEachProxy(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	handler := reportUnreadable(trusted, slog.New(slog.NewTextHandler(&log, nil)), http.NotFoundHandler())
	for range 3 {
		for peer, entry := range map[string]string{
			"10.0.0.1:1": "203.0.113.9, unknown", "10.0.0.2:1": "_hidden, 10.0.0.3", "203.0.113.1:1": "a claim", "10.0.0.4:1": "", "10.0.0.5:1": `"[2001:db8::7]"`,
		} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			r.RemoteAddr = peer
			r.Header.Set("X-Forwarded-For", entry)
			handler.ServeHTTP(httptest.NewRecorder(), r)
		}
	}
	if n := strings.Count(log.String(), "X-Forwarded-For not readable"); n != 2 {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
	for _, want := range []string{`\"unknown\", written by the trusted proxy 10.0.0.1;`, `\"_hidden\", written by the trusted proxy 10.0.0.3;`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is missing:\n%s", want, log.String())
		}
	}
}
