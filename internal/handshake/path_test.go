package handshake

import (
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
