package handshake

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{ // the endpoint and the ids, with a bar between
		"/ws/test":            "test",
		"/ws/test/":           "test",
		"/ws/chat":            "chat",
		"/ws/chat/":           "chat",
		"/ws/chat//":          "chat|",
		"/ws/chat///":         "chat||",
		"/ws/chat//2":         "chat||2",
		"/ws/chat/1/":         "chat|1",
		"/ws/chat/1//":        "chat|1|",
		"/ws/chat/1/2":        "chat|1|2",
		"/ws/location/1/2/":   "location|1|2",
		"/ws/location/%31/x/": "location|%31|x",
		"/ws/location/.../x/": "location|...|x",
		"":                    "-",
		"/":                   "-",
		"/ws":                 "-",
		"/ws/":                "-",
		"/ws//":               "-",
		"//ws/test/":          "-",
		"/ws/./test/":         "-",
		"/ws/test//":          "-",
		"/ws/test/x":          "-",
		"/ws/chat/1/2/3":      "-",
		"/ws/chat/1/2//":      "-",
		"/ws/chat////":        "-",
		"/ws/chat/./2":        "-",
		"/ws/chat/1/../":      "-",
		"/ws/chats/1/2":       "-",
		"/WS/chat/1/2":        "-",
		"/ws/chat/1/2?x":      "chat|1|2?x", // a path has no query
	} {
		endpoint, ids, ok := split(path)
		got := strings.Join(append([]string{endpoint}, ids...), "|")
		if !ok {
			got = "-"
		}
		if got != want {
			t.Errorf("%s is split into %q, want %q", path, got, want)
		}
	}
}

// FuzzPath holds split and parseRoom together: they never panic, and whatever
// leads to a room is one of the few forms that there are.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"/ws/chat/1/2/", "/ws/chat//2", "/ws/location/01/2", "/ws/test/", "//ws/chat", "/ws/chat/%31/2/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		endpoint, ids, ok := split(path)
		if !ok {
			return
		}
		if !slices.Contains([]string{"test", "chat", "location"}, endpoint) || len(ids) > 2 {
			t.Fatalf("%q is split into %q and %q", path, endpoint, ids)
		}
		r, bad := parseRoom(ids)
		if endpoint == "test" || bad != nil {
			if bad == nil || bad.Code != 4000 || len(bad.Text("0123456789abcdef")) > 123 {
				t.Fatalf("%q: %v", path, bad)
			}
			return
		}
		group := strings.ReplaceAll(r.Group(endpoint), "_", "/")
		if strings.TrimSuffix(path, "/") != "/ws/"+group {
			t.Fatalf("%q leads to %s", path, group)
		}
	})
}

func TestParseSince(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"0": 0, "41": 41, "9223372036854775807": 1<<63 - 1} {
		if n, bad := parseSince(url.Values{"since": {text}}); bad != nil || *n != want {
			t.Errorf("%q is read as %v (%v)", text, n, bad)
		}
	}
	if n, bad := parseSince(url.Values{}); n != nil || bad != nil {
		t.Errorf("none is read as %v (%v)", n, bad)
	}
	for _, text := range []string{"", "x", "-1", "+1", "1.5", "1e3", " 1", "0x10", "1_0", "9223372036854775808"} {
		if n, bad := parseSince(url.Values{"since": {text}}); bad == nil || bad.Reason != "bad_since" {
			t.Errorf("%q is read as %v", text, n)
		}
	}
}

func TestRemote(t *testing.T) {
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
		if got := Remote(r, trusted); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
