package listen

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func small(share float64, total, plains, hard int) *Limits {
	return newLimits([kinds]int{all: total, plain: plains, sockets: hard}, share, slog.New(slog.DiscardHandler), nil)
}

// guest is a connection that is only counted.
func guest(t *testing.T, l *Limits, addr string, want verdict) *conn {
	t.Helper()
	c := &conn{limits: l}
	if v, _ := l.admit(c, netip.MustParseAddr(addr), true); v != want {
		t.Fatalf("%s gets %d, want %d", addr, v, want)
	}
	return c
}

func TestAnAddressOverItsShareLosesItsOldestIdleConnection(t *testing.T) {
	t.Parallel()
	l := small(0.25, 16, 16, 16)
	var mine []*conn
	for range 8 { // up to half of the places nobody is refused
		mine = append(mine, guest(t, l, "203.0.113.1", admitted))
	}
	guest(t, l, "203.0.113.1", overShare)
	guest(t, l, "2001:db8::1", admitted)
	l.move(mine[3], idle)
	l.move(mine[1], idle)
	c := &conn{limits: l}
	if v, victim := l.admit(c, netip.MustParseAddr("203.0.113.1"), true); v != admitted || victim != mine[3] {
		t.Errorf("got %d, and not the oldest idle connection leaves", v)
	}
	l.upgrade(mine[0])
	for _, a := range []string{"2001:db8::2", "2001:db8::3:4", "2001:db8::5"} { // one /64
		guest(t, l, a, admitted)
	}
	guest(t, l, "2001:db8::6", overShare)
	guest(t, l, "2001:db8:0:1::6", admitted)
	if v, _ := l.admit(&conn{limits: l}, netip.MustParseAddr("203.0.113.1"), false); v != admitted {
		t.Error("a trusted proxy has a share")
	}
}

func TestASocketNeverLeavesForANewConnection(t *testing.T) {
	t.Parallel()
	l := small(1, 4, 4, 4)
	var all []*conn
	for i := range 4 {
		c := guest(t, l, fmt.Sprintf("203.0.113.%d", i), admitted)
		c.changed(http.StateActive)
		c.changed(http.StateHijacked)
		all = append(all, c)
	}
	guest(t, l, "203.0.113.9", full)
	l.remove(all[2])
	l.remove(all[2])
	last := guest(t, l, "203.0.113.9", admitted)
	guest(t, l, "203.0.113.9", full) // its head may still come
	last.since = last.since.Add(-time.Minute)
	if v, victim := l.admit(&conn{limits: l}, netip.MustParseAddr("203.0.113.8"), true); v != admitted || victim != last {
		t.Errorf("a head that takes long does not leave: %d", v)
	}
	for _, c := range all {
		l.remove(c)
	}
	if l.count() != 1 {
		t.Errorf("%d connections are counted, want 1", l.count())
	}
}

func TestPlainConnectionsWaitForOneAnother(t *testing.T) {
	t.Parallel()
	l := small(1, 10, 2, 10)
	a := guest(t, l, "203.0.113.1", admitted)
	guest(t, l, "203.0.113.2", admitted)
	guest(t, l, "203.0.113.3", notYet)
	l.upgrade(a)
	select {
	case <-l.freed:
	default:
		t.Error("nobody is told that a place is free")
	}
	guest(t, l, "203.0.113.3", admitted)
}

// TestAnAddressHasAShareOfThePlainConnections leaves room for many sockets, so that only the plain connections are scarce.
func TestAnAddressHasAShareOfThePlainConnections(t *testing.T) {
	t.Parallel()
	l := small(0.25, 1000, 8, 1000)
	first := guest(t, l, "203.0.113.1", admitted)
	for range 3 {
		guest(t, l, "203.0.113.1", admitted)
	}
	guest(t, l, "203.0.113.1", overShare)
	guest(t, l, "203.0.113.2", admitted)
	for range 3 {
		l.upgrade(first) // counts once
	}
	guest(t, l, "203.0.113.1", overShare)
	guest(t, l, "203.0.113.3", admitted)
}

func TestSocketsOfAClientAreCountedUntilTheyEnd(t *testing.T) {
	t.Parallel()
	l := small(0.25, 100, 100, 8)
	open := func(remote string, want bool) {
		t.Helper()
		if got := l.OpenSocket(remote); got != want {
			t.Errorf("%s: %v", remote, got)
		}
	}
	for range 4 {
		open("203.0.113.1", true)
	}
	open("203.0.113.1:80", false)
	open("[2001:db8::1]:80", true)
	open("2001:db8::2", true)
	open("2001:db8::3", false)
	open("pipe", true)
	for range 4 {
		l.CloseSocket("203.0.113.1:1")
	}
	l.CloseSocket("2001:db8::2")
	l.CloseSocket("2001:db8::2")
	l.CloseSocket("pipe")
	if len(l.peers) != 0 || l.used[sockets] != 0 {
		t.Errorf("%d addresses are left, %v", len(l.peers), l.used)
	}
	var none *Limits
	if !none.OpenSocket("203.0.113.1") {
		t.Error("no limits refuse")
	}
	none.CloseSocket("203.0.113.1")
}

// send sends bytes and returns the answer.
func send(t *testing.T, s *Server, text string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr()) //nolint:noctx // to this machine
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.WriteString(conn, text)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body) // a connection that is kept has a length
	_ = res.Body.Close()
	return res, string(body)
}

func TestAHeadIsBounded(t *testing.T) {
	t.Parallel()
	s, _ := open(t, LimitOptions{Sockets: 10, Share: 1}, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprint(w, len(body))
	})
	get := "GET / HTTP/1.1\r\nHost: x\r\n"
	for name, c := range map[string]struct {
		text   string
		status int
	}{
		"many bytes":      {get + "A: " + strings.Repeat("a", maxHead), 431},
		"just enough":     {get + "A: " + strings.Repeat("a", maxHead-100) + "\r\n\r\n", 200},
		"many lines":      {get + strings.Repeat("a:\r\n", maxLines), 431},
		"many bare lines": {get + strings.Repeat("a:\n", maxLines), 431},
		"lines of a body": {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n" + strings.Repeat("{}}}}}}}\n", 1000), 200},
	} {
		if res, body := send(t, s, c.text); res.StatusCode != c.status {
			t.Errorf("%s: %d %s, want %d", name, res.StatusCode, body, c.status)
		}
	}
}

func TestARefusalIsAProblemDocument(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	l := small(1, 1, 1, 1)
	s := serve(t, Options{Limits: l, Handler: http.NotFoundHandler()}, log)
	taken := guest(t, l, "203.0.113.1", admitted)
	l.upgrade(taken)
	res, body := send(t, s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	ref := res.Header.Get("Roomspa-Ref")
	if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || len(ref) != 16 || !strings.Contains(body, `"ref":"`+ref+`"`) {
		t.Errorf("%v %s", res, body)
	}
	l.mu.Lock()
	l.remove(taken)
	l.mu.Unlock()
	if res, _ := send(t, s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); res.StatusCode != 404 {
		t.Errorf("%d afterwards", res.StatusCode)
	}
}

// BenchmarkAccept connects, asks, and hangs up.
func BenchmarkAccept(b *testing.B) {
	s := New(Options{Name: "public", Address: "127.0.0.1:0", Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}, slog.New(slog.DiscardHandler))
	if err := s.Open(b.Context()); err != nil {
		b.Fatal(err)
	}
	go func() { _ = s.Serve() }()
	b.Cleanup(func() { _ = s.http.Close() })
	b.ReportAllocs()
	answer := make([]byte, 1024)
	for b.Loop() {
		conn, err := net.Dial("tcp", s.Addr()) //nolint:noctx // to this machine
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := conn.Read(answer); err != nil {
			b.Fatal(err)
		}
		_ = conn.(*net.TCPConn).SetLinger(0) // no TIME_WAIT
		_ = conn.Close()
	}
}
