package listen

import (
	"net/http"
	"net/netip"
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
