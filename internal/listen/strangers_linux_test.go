package listen_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/listen"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// ask sends one request from an address on a connection of its own, and returns the answer.
func ask(t *testing.T, r *world.Replica, from string, lines ...string) *http.Response {
	t.Helper()
	c := strangers(t, r, from, 1, strings.Join(lines, "\r\n")+"\r\n\r\n")[0]
	_ = c.SetReadDeadline(time.Now().Add(world.Limit))
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("a request from %s: %v", from, err)
	}
	_ = c.Close()
	return res
}

// TestANetworkOfStrangersIsRefused sends each kind of request from an address of its own, beside
// a pair that chats.
func TestANetworkOfStrangersIsRefused(t *testing.T) {
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
		charged bool
	}{
		{"an unknown path", get("/x"), 404, true},
		{"no token", get("/api/conversations/"), 401, true},
		{"a bad token", get("/api/conversations/", bearer("not.a.token")), 401, true},
		{"no handshake", get("/ws/chat/1/2/", good), 426, true},
		{"a handshake for nothing", world.Upgrade("/ws/x/"), 404, true},
		{"a handshake without a token", world.Upgrade("/ws/chat/1/2/"), 101, true},
		{"an anonymous handshake", world.Upgrade("/ws/test/"), 101, true},

		{"a good request", get("/api/conversations/", good), 200, false},
		{"a user's unknown conversation", get("/api/conversations/00000000-0000-4000-8000-000000000000/messages/", good), 404, false},
		{"an old token", get("/api/conversations/", old), 401, false},
		{"a good handshake", world.Upgrade("/ws/chat/1/2/", good), 101, false},
		{"a handshake with an old token", world.Upgrade("/ws/chat/1/2/", old), 101, false},
		{"another room", world.Upgrade("/ws/chat/5/6/", good), 101, false},
	} {
		from, refused := fmt.Sprintf("127.0.1.%d", i+1), 0
		for began, n := time.Now(), 0; n < 230+20*int(time.Since(began).Seconds()) && refused == 0; n++ {
			switch res := ask(t, r, from, c.request...); {
			case res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("Retry-After") != "" && res.Header.Get("Roomspa-Ref") != "":
				refused++
			case res.StatusCode != c.status:
				t.Fatalf("%s: status %d, want %d", c.name, res.StatusCode, c.status)
			}
		}
		if (refused > 0) != c.charged {
			t.Errorf("%s: %d refused, want some: %v", c.name, refused, c.charged)
		}
		p.say(t)
	}
	if status := handshake(t, r, "127.0.0.2"); status != http.StatusSwitchingProtocols {
		t.Errorf("a handshake from another address is answered with %d", status)
	}
	counts(t, r, `roomspa_connections_refused_total{reason="strangers"}`)
	if n := strings.Count(r.Log.String(), "[Connections] Connections refused: 127.0.1."); n != 1 {
		t.Errorf("the refusals have %d lines, want 1", n)
	}
}

func TestAConnectionOfStrangersIsClosed(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a", func(o *app.Options) { o.AddressShare = 0.25 })
	c := strangers(t, r, "127.0.0.3", 1, "")[0]
	_ = c.SetDeadline(time.Now().Add(world.Limit))
	go func() { _, _ = io.WriteString(c, strings.Repeat(whole, 1000)) }() // it may be closed already
	answers, got := bufio.NewReader(c), map[int]int{}
	for {
		res, err := http.ReadResponse(answers, nil)
		if err != nil {
			break // closed or reset
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			break
		}
		got[res.StatusCode]++
	}
	if n := got[http.StatusNotFound]; n == 0 || n > 900 || got[http.StatusServiceUnavailable] > 1 { // a reset may take answers away
		t.Errorf("of 1,000 requests got %v", got)
	}
}

// A network that is exhausted is refused before it sends anything.
func TestStrangersAreRefusedAtAccept(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	limits := listen.NewLimits(listen.LimitOptions{Sockets: 10, Share: 0.25}, log, nil)
	s := listen.New(listen.Options{Name: "public", Address: "127.0.0.1:0", Handler: http.NotFoundHandler(), Limits: limits}, log)
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.Serve() })
	defer serving.Wait()
	defer func() { _ = s.Shutdown(t.Context()) }()
	world.Eventually(t, "a connection is refused", func() (bool, any) {
		for range 200 { // again, because a slow machine gives the bucket time
			limits.Charge("127.0.0.1:1")
		}
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Addr())
		if err != nil {
			return false, err
		}
		defer c.Close()
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		return err == nil && res.StatusCode == http.StatusServiceUnavailable && res.Header.Get("Retry-After") != "", err
	})
}

func TestStrangersBehindAProxyAreRefusedByAddress(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a", world.TrustLoopback, func(o *app.Options) { o.AddressShare = 0.25 })
	good := "Authorization: Bearer " + w.Token(t, world.Customer)
	var last *http.Response
	for began, n := time.Now(), 0; n < 230+20*int(time.Since(began).Seconds()); n++ {
		if last = ask(t, r, "127.0.0.1", world.Upgrade("/ws/chat/1/2/", "X-Forwarded-For: 203.0.113.1")...); last.StatusCode != http.StatusSwitchingProtocols {
			break
		}
	}
	if last.StatusCode != http.StatusServiceUnavailable || last.Header.Get("Retry-After") == "" || last.Close {
		t.Errorf("strangers are answered with %d, header %v, closed: %v", last.StatusCode, last.Header, last.Close)
	}
	if res := ask(t, r, "127.0.0.1", world.Upgrade("/ws/chat/1/2/", "X-Forwarded-For: 203.0.113.2", good)...); res.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("another client is answered with %d", res.StatusCode)
	}
}
