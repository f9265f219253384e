package diagnose_test

import (
	"context"
	"encoding/json"
	"net/http/httputil"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/client"
	"github.com/roomspa/roomspa/internal/tool/diagnose"
)

// TestNothingIsFoundWhereAllIsWell diagnoses two replicas behind a balancer again and
// again, 20 times or ROOMSPA_DIAGNOSE_TIMES, and looks at what the room has kept.
func TestNothingIsFoundWhereAllIsWell(t *testing.T) {
	t.Parallel()
	times, err := strconv.Atoi(os.Getenv("ROOMSPA_DIAGNOSE_TIMES"))
	if err != nil {
		times = 20
	}
	w := world.New(t)
	a, b := w.Ready(t, "a"), w.Ready(t, "b")
	front := reverse(t, roundRobin(a.Addr(), b.Addr()), nil)
	other, err := client.Dial(t.Context(), client.Options{URL: "ws://" + front + "/ws/chat/1/2/", Token: token(t, 2)})
	if err != nil {
		t.Fatal(err)
	}
	defer other.CloseNow()
	if f, err := other.Read(t.Context()); err != nil || f.Type != frame.TypeConnected {
		t.Fatalf("%s, %v", f.Raw, err)
	}
	for range times {
		o := looking(t, front, a, b)
		r := run(t, o)
		// The machine of the tests may be slow, which is told.
		if !r.OK || slices.ContainsFunc(r.Findings, func(n diagnose.Finding) bool { return n.Level != "note" && !strings.HasSuffix(n.Cause, "slow") }) {
			t.Fatalf("a healthy system is found to be ill:\n%s", show(r))
		}
		// So many runs of one user exceed the limit of tickets, and find that of the runs before.
		if slices.ContainsFunc(r.Findings, func(n diagnose.Finding) bool { return n.Side == "client" && n.Cause != "too_many_attempts" }) {
			t.Errorf("the diagnosis finds itself:\n%s", show(r))
		}
		if text := show(r); !strings.Contains(text, "between the replicas") {
			t.Errorf("two replicas were not seen:\n%s", text)
		}
	}
	if err := other.Send([]byte(`{"type":"history"}`)); err != nil {
		t.Fatal(err)
	}
	f, err := other.Read(t.Context())
	for err == nil && f.Type == frame.TypePresence {
		f, err = other.Read(t.Context()) // it saw the diagnosis come and go
	}
	if err != nil || string(f.Raw) != `{"type":"history","messages":[],"has_more":false}` {
		t.Errorf("the other side got %s, %v; want nothing but presence and an empty page", f.Raw, err)
	}
}

// TestAllKindsOfURL diagnoses what is well by every URL that somebody may paste.
func TestAllKindsOfURL(t *testing.T) {
	t.Parallel()
	a := world.New(t).Ready(t, "a")
	root := newAuthority(t, "root", nil)
	port := serveTLS(t, a.Addr(), root.certify(t))
	for name, c := range map[string]struct {
		o     diagnose.Options
		steps string
	}{
		"the server":           {diagnose.Options{URL: "http://" + a.Addr()}, "name tcp http upgrade echo browser routes clock"},
		"the server by TLS":    {diagnose.Options{URL: "https://localhost:" + port, TLS: root.trust()}, "name tcp tls http upgrade echo browser routes clock"},
		"the echo":             {diagnose.Options{URL: "ws://" + a.Addr() + "/ws/test/", Idle: time.Millisecond}, "name tcp http upgrade echo browser routes clock idle"},
		"a room and its token": {diagnose.Options{URL: "ws://" + a.Addr() + "/ws/chat/1/2?token=" + token(t, world.Customer)}, "name tcp http upgrade echo browser routes clock token handshake message app ticket location"},
		"the two of a room":    {diagnose.Options{URL: "http://" + a.Addr(), Identifier: "user2@example.com", Password: world.Password, PeerIdentifier: "user1@example.com", PeerPassword: world.Password}, "name tcp http upgrade echo browser routes clock sign-in token handshake message app ticket location"},
		"a location":           {diagnose.Options{URL: "wss://localhost:" + port + "/ws/location/1/2/", TLS: root.trust(), Identifier: "user2@example.com", Password: world.Password}, "name tcp tls http upgrade echo browser routes clock sign-in token handshake message app ticket location"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.o.Timeout, c.o.Limit = world.Limit, world.Limit
			r := run(t, c.o)
			var names []string
			for _, s := range r.Steps {
				names = append(names, s.Name)
			}
			if got := strings.Join(names, " "); !r.OK || got != c.steps {
				t.Errorf("steps %q, want %q\n%s", got, c.steps, show(r))
			}
			if strings.Contains(show(r), "eyJ") {
				t.Errorf("a token is shown:\n%s", show(r))
			}
		})
	}
}

// TestPingsDoNotHideATimeOut diagnoses proxies whose idle time-out lies above the ping
// interval: it does no harm, and is named.
func TestPingsDoNotHideATimeOut(t *testing.T) {
	t.Parallel()
	a := world.New(t).Ready(t, "a", func(o *app.Options) { o.PingInterval = time.Second })
	root := newAuthority(t, "root", nil)
	const idle = 5 * time.Second // of the proxies; pings come every second
	const harmless = "silent for about "
	for name, c := range map[string]struct {
		idle time.Duration
		want string
		set  func(t *testing.T) diagnose.Options
	}{
		"a proxy cuts": {2 * idle, harmless, func(t *testing.T) diagnose.Options {
			return chat(t, idleCutter(t, a.Addr(), idle))
		}},
		"a proxy cuts behind one that says goodbye": {2 * idle, harmless, func(t *testing.T) diagnose.Options {
			return overTLS(t, serveTLS(t, idleCutter(t, a.Addr(), idle), root.certify(t)), root.trust())
		}},
		"a server does not know ping=off": {2 * idle, "a socket stayed open for 10s, kept alive by the server's pings (", func(t *testing.T) diagnose.Options {
			return chat(t, reverse(t, always(idleCutter(t, a.Addr(), idle)), func(r *httputil.ProxyRequest) {
				r.Out.URL.RawQuery = strings.TrimPrefix(r.Out.URL.RawQuery, "ping=off")
			}))
		}},
		"nothing cuts": {3 * time.Second, "a silent socket stayed open for 3s, and one with traffic stayed open for ", func(t *testing.T) diagnose.Options {
			return chat(t, a.Addr())
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := c.set(t)
			o.Idle = c.idle
			r := run(t, o)
			last := r.Steps[len(r.Steps)-1]
			if !r.OK || last.Name != "idle" || !says(last.Detail, c.want) ||
				strings.Contains(last.Detail, "prevent that") != (c.want == harmless) {
				t.Errorf("nothing says %q\n%s", c.want, show(r))
			}
		})
	}
}

// stopping ends the context when a step begins.
type stopping struct {
	at     string
	cancel context.CancelFunc
}

func (s stopping) Start(name string) {
	if strings.Contains(name, s.at) {
		s.cancel()
	}
}
func (stopping) Progress(string, string) {}
func (stopping) End(diagnose.Step)       {}

func TestWhatIsKnownSoFarIsTold(t *testing.T) {
	t.Parallel()
	a := world.New(t).Ready(t, "a")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o := looking(t, a.Addr(), a)
	o.Watch = stopping{"handshake", cancel}
	r, err := diagnose.Run(ctx, o)
	if err != nil || r.OK || r.Cause != "interrupted" || len(r.Steps) != 9 || !r.Steps[8].OK || r.Steps[8].Name != "token" || !slices.Contains(r.NotTested, "handshake: not begun in time") {
		t.Errorf("%v\n%s", err, show(r))
	}
	text, err := json.Marshal(r)
	if err != nil || !strings.HasPrefix(string(text), `{"ok":false,"cause":"interrupted","cure":"`) || !strings.Contains(string(text), `"steps":[{"name":"name","ok":true,"detail":"`) {
		t.Errorf("%s, %v", text, err)
	}
}

func TestWrongUsage(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "host", "ftp://host/", "ws:///ws/chat/1/2/"} {
		if _, err := diagnose.Run(t.Context(), diagnose.Options{URL: url}); err == nil {
			t.Errorf("%q is taken", url)
		}
	}
}

func TestTheStoryOfARefusalIsTold(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Ready(t, "a"), w.Ready(t, "b")
	o := looking(t, a.Addr(), b) // from any replica
	o.URL = "ws://" + a.Addr() + "/ws/chat/3/2/"
	r := run(t, o)
	if last := r.Steps[len(r.Steps)-1]; r.Cause != "not_your_room" || len(r.Ref) != 16 || last.Name != "inside" ||
		!strings.Contains(last.Detail, "the handshake failed at the step authorized") {
		t.Errorf("no story:\n%s", show(r))
	}
}
