package connect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspa/roomspa/internal/tool/client"
)

// withLogin puts a sign-in in front of a WebSocket server. User a is a customer,
// everybody else a therapist.
func withLogin(behind http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/login/" {
			behind.ServeHTTP(w, r)
			return
		}
		var in struct{ Identifier string }
		_ = json.NewDecoder(r.Body).Decode(&in)
		role, id := "therapist", 2
		if in.Identifier == "a" {
			role, id = "customer", 1
		}
		_, _ = fmt.Fprintf(w, `{"access_token":"t%d","expires_in":300,"user":{"id":%d,"role":"%s"}}`, id, id, role)
	})
}

// pipes is a listener in memory, so that time-outs can be tested in fake time.
type pipes struct {
	incoming chan net.Conn
	closed   chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.incoming:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.incoming <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// smoked runs the smoke test in fake time against a script, or nothing.
func smoked(t *testing.T, script func(*side)) (out string, good bool) {
	t.Helper()
	p := &pipes{incoming: make(chan net.Conn), closed: make(chan struct{})}
	if script == nil {
		close(p.closed)
	} else {
		server := &http.Server{Handler: withLogin(playing(t, script)), ReadHeaderTimeout: time.Minute}
		done := make(chan struct{})
		go func() { defer close(done); _ = server.Serve(p) }()
		t.Cleanup(func() { close(p.closed); _ = server.Close(); <-done })
	}
	over := &http.Client{Transport: &http.Transport{DialContext: p.dial, DisableKeepAlives: true}}
	var b bytes.Buffer
	good, err := Smoke(t.Context(), SmokeOptions{
		BaseURL: "http://server", Timeout: 10 * time.Second, Out: &b, Socket: client.Options{NetDial: p.dial},
		Own:  client.Credentials{Identifier: "a", Password: "p", HTTP: over},
		Peer: client.Credentials{Identifier: "b", Password: "p", HTTP: over},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), good
}

var refs = regexp.MustCompile(`ref\d`)

func TestSmokeSaysThatAllWorks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got, good := smoked(t, new(hub).script)
		if !good {
			t.Error("not good")
		}
		same(t, `
test      ok  <1 ms  the echo came back
chat      ok  <1 ms  customer 1 and therapist 2, both directions
location  ok  <1 ms  customer 1 and therapist 2, both directions`, got)
	})
}

func TestSmokeAllowsThatPositionsOfCustomersAreNotPassedOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got, good := smoked(t, (&hub{oneWay: true}).script)
		if !good {
			t.Error("not good")
		}
		same(t, `
test      ok  <1 ms  the echo came back
chat      ok  <1 ms  customer 1 and therapist 2, both directions
location  ok  <1 ms  customer 1 and therapist 2, from the therapist only (--location-from)`, got)
	})
}

func TestSmokeSaysWhatDoesNotWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := new(hub)
		got, good := smoked(t, func(s *side) {
			switch {
			case strings.HasPrefix(s.r.URL.Path, "/ws/chat/1/2/"):
				s.say(`{"type":"error","code":"channel_layer_unavailable","detail":"no confirmed SUBSCRIBE","ref":"abc","close":1011}`)
				_ = s.ws.Close(1011, "channel_layer_unavailable ref=abc")
			case strings.HasPrefix(s.r.URL.Path, "/ws/location/1/2/"):
				s.hear() // and says nothing
			default:
				h.script(s)
			}
		})
		if good {
			t.Error("good")
		}
		same(t, `
test      ok  <1 ms  the echo came back
chat      FAILED  closed 1011 channel_layer_unavailable (ref abc): Redis did not confirm the subscription in time. no confirmed SUBSCRIBE.
location  FAILED  timed out after 10s: waiting for connected (ref REF)`, refs.ReplaceAllString(got, "REF"))
	})
}

func TestSmokeNeedsAServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got, good := smoked(t, nil)
		if good {
			t.Error("good")
		}
		same(t, `
test      FAILED  connect to server: connection refused
chat      FAILED  sign in: Post "http://server/login/": connection refused
location  FAILED  sign in: Post "http://server/login/": connection refused`, got)
	})
}
