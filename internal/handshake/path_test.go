package handshake

import (
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
