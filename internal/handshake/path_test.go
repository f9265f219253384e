package handshake

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/room"
)

// matching returns a server of an endpoint without ids, and two with two ids each.
func matching() *Server {
	s := &Server{endpoints: map[string]*endpoint.Endpoint{"test": {Name: "test"}}}
	for _, name := range []string{"chat", "location"} {
		s.endpoints[name] = &endpoint.Endpoint{Name: name, IDs: endpoint.RoomIDs}
	}
	return s
}

func TestMatch(t *testing.T) {
	t.Parallel()
	s := matching()
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
		e, segments := s.match(path)
		got := "-"
		if e != nil {
			got = strings.Join(append([]string{e.Name}, segments...), "|")
		}
		if got != want {
			t.Errorf("%s matches %q, want %q", path, got, want)
		}
	}
}

// FuzzPath holds match and parseIDs together: they never panic, and only a few forms
// of a path lead to a room.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"/ws/chat/1/2/", "/ws/chat//2", "/ws/location/01/2", "/ws/test/", "//ws/chat", "/ws/chat/%31/2/"} {
		f.Add(s)
	}
	server := matching()
	f.Fuzz(func(t *testing.T, path string) {
		e, segments := server.match(path)
		if e == nil {
			return
		}
		if len(segments) > len(e.IDs) {
			t.Fatalf("%q has the segments %q", path, segments)
		}
		ids, bad := parseIDs(e.IDs, segments)
		if bad != nil {
			if bad.Code != 4000 || len(bad.Text("0123456789abcdef")) > 123 {
				t.Fatalf("%q: %v", path, bad)
			}
			return
		}
		want := "/ws/" + e.Name
		if len(ids) > 0 {
			p := endpoint.Peer{IDs: ids}
			want = "/ws/" + strings.ReplaceAll(p.Room().Group(e.Name), "_", "/")
		}
		if strings.TrimSuffix(path, "/") != want {
			t.Fatalf("%q leads to %s", path, want)
		}
	})
}

func TestIDsInThePath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/":     "missing_customer_id: the path is /ws/…/{customer_id}/{therapist_id}/; the first id is missing",
		"//2":   "missing_customer_id: the path is /ws/…/{customer_id}/{therapist_id}/; the first id is missing",
		"/x/":   "missing_therapist_id: the path is /ws/…/{customer_id}/{therapist_id}/; the second id is missing",
		"/x/0":  `bad_id: customer_id must be a whole number from 1 to 9007199254740991 without sign or leading zero, not "x"`,
		"/1/+2": `bad_id: therapist_id must be a whole number from 1 to 9007199254740991 without sign or leading zero, not "+2"`,
	} {
		e, segments := matching().match("/ws/chat" + path)
		if _, bad := parseIDs(e.IDs, segments); bad == nil || bad.Code != 4000 || bad.Error() != want {
			t.Errorf("%s: %v, want %s", path, bad, want)
		}
	}
	line, detail := describeIDs(endpoint.RoomIDs, []room.UserID{1, 22})
	if line != "Customer ID: 1, Therapist ID: 22" || detail != "customer 1, therapist 22" {
		t.Errorf("the ids are described as %q and %q", line, detail)
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
