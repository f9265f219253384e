package listen_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// TestRefusalsOfANetworkAreSlowedDown sends each kind of request from an address of its own, whose
// strangers are many.
func TestRefusalsOfANetworkAreSlowedDown(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a", func(o *app.Options) { o.AddressShare = 0.25 })
	p := chat(t, r)
	bearer := func(token string) string { return "Authorization: Bearer " + token }
	good, old := bearer(w.Token(t, world.Customer)), bearer(world.Sign(t, world.Object{"exp": time.Now().Add(-time.Hour).Unix()}))
	get := func(path string, more ...string) []string {
		return append([]string{"GET " + path + " HTTP/1.1", "Host: example.com"}, more...)
	}
	for i, c := range []struct {
		name    string
		request []string
		status  int
		slowed  bool
	}{
		{"an unknown path", get("/x"), 404, true},
		{"no token", get("/api/conversations/"), 401, true},
		{"an old token", get("/api/conversations/", old), 401, true},
		{"no handshake", get("/ws/chat/1/2/", good), 426, true},
		{"a handshake without a token", world.Upgrade("/ws/chat/1/2/"), 101, true},
		{"an anonymous handshake", world.Upgrade("/ws/test/"), 101, true},

		{"a good request", get("/api/conversations/", good), 200, false},
		{"a good handshake", world.Upgrade("/ws/chat/1/2/", good), 101, false},
		{"another room", world.Upgrade("/ws/chat/5/6/", good), 101, false},
	} {
		from, text := fmt.Sprintf("127.0.1.%d", i+1), strings.Join(c.request, "\r\n")+"\r\n\r\n"
		slowed := func() float64 { return r.Metric(t, "roomspa_refusals_slowed_total") }
		read := func(conns []net.Conn, status int) {
			for _, conn := range conns {
				_ = conn.SetReadDeadline(time.Now().Add(world.Limit))
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil || res.StatusCode != status {
					t.Fatalf("%s: %v, %v", c.name, res, err)
				}
				_ = conn.Close()
			}
		}
		// After the crowd, the address owes for seconds, however slow the machine is.
		const crowd = 60
		world.Eventually(t, c.name+" follows many refusals", func() (bool, any) {
			before := slowed()
			refused := strangers(t, r, from, crowd, whole)
			if c.slowed {
				read(strangers(t, r, from, 2*crowd, text), c.status)
			}
			read(refused, 404)
			if n := slowed() - before; c.slowed {
				return n > crowd, n
			} else if n == 0 {
				return false, n
			}
			return true, nil
		})
		if before := slowed(); !c.slowed {
			read(strangers(t, r, from, 4, text), c.status) // no more than a user may have at work
			if n := slowed() - before; n > 0 {
				t.Errorf("%s: slowed down %v times", c.name, n)
			}
		}
		p.say(t)
	}
}
