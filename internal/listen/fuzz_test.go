package listen

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// FuzzClientAddr requires that the client cannot choose its address: what stands left of the
// first untrusted hop changes nothing.
func FuzzClientAddr(f *testing.F) {
	for _, seed := range [][2]string{
		{"203.0.113.1:1234", "6.6.6.6"},
		{"10.0.0.1:1234", "6.6.6.6, 203.0.113.1"},
		{"[fd00::1]:1", "[2001:db8::1]:55"},
		{"10.0.0.1:1", "x, 10.0.0.2"},
		{"10.0.0.1:1", ""},
		{"[::ffff:10.0.0.1]:1", "::ffff:203.0.113.1"},
		{"[fe80::1%eth0]:1", "fe80::1%x"},
		{"pipe", "1.2.3.4"},
	} {
		f.Add(seed[0], seed[1], "198.51.100.7")
	}
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	f.Fuzz(func(t *testing.T, peer, forwarded, claim string) {
		ask := func(lines ...string) string {
			return ClientAddr(&http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": lines}}, trusted)
		}
		got := ask(forwarded)
		a, ok := parse(got)
		if !ok {
			if got != peer {
				t.Fatalf("%q is neither an address nor the peer", got)
			}
			return
		}
		if contains(trusted, a.Unmap()) {
			return // no hop is untrusted, so there is nothing left of one
		}
		for _, with := range []string{ask(claim, forwarded), ask(claim + "," + forwarded), ask(claim, claim+", "+forwarded)} {
			if with != got {
				t.Fatalf("the claim %q turns %q into %q", claim, got, with)
			}
		}
		if p, err := netip.ParseAddrPort(peer); err == nil && !contains(trusted, p.Addr().Unmap()) && a != p.Addr().Unmap() {
			t.Fatalf("a stranger at %q became %q", peer, got)
		}
	})
}

// FuzzHead sends arbitrary bytes as a request. The server must answer or hang up soon after the
// client has ended, with a refusal for a head of too many bytes or lines, and count the
// connection down again.
func FuzzHead(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n\n\n\n\n\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\n\n\n\n\n\n\n\n\n\n\n\n", "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nGET / HTTP/1.0\r\n\r\n", "\n\n\n", "GET / HTTP/1.1\r\nA:" + strings.Repeat("\n a", 300),
		"GET / HTTP/1.1\r\n" + strings.Repeat("a:\r\n", 200), "GET / HTTP/1.1\r\n" + strings.Repeat("a", 20000),
	} {
		f.Add([]byte(seed))
	}
	s, limits := open(f, LimitOptions{Sockets: 10, Share: 1}, func(w http.ResponseWriter, r *http.Request) {
		lines := 0
		for _, v := range r.Header {
			lines += len(v)
		}
		if lines > maxLines {
			f.Errorf("a request with %d headers came through", lines)
		}
		_, _ = io.WriteString(w, "ok")
	})
	f.Fuzz(func(t *testing.T, sent []byte) {
		conn, err := net.Dial("tcp", s.Addr()) //nolint:noctx // to this machine
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(headTimeout - time.Second))
		_, _ = conn.Write(sent)
		_ = conn.(*net.TCPConn).CloseWrite()
		if _, err := io.Copy(io.Discard, conn); err != nil && isTimeout(err) {
			t.Errorf("%q keeps the connection", sent)
		}
		_ = conn.Close()
		if n := limits.count(); n > maxPlain {
			t.Errorf("%d connections are counted", n)
		}
	})
}

func isTimeout(err error) bool {
	n, ok := err.(net.Error) //nolint:errorlint // net returns it unwrapped
	return ok && n.Timeout()
}

// open serves a handler on a free port with limits.
func open(tb testing.TB, o LimitOptions, h http.HandlerFunc) (*Server, *Limits) {
	tb.Helper()
	log := slog.New(slog.DiscardHandler)
	limits := NewLimits(o, log, nil)
	return serve(tb, Options{Limits: limits, Handler: h}, log), limits
}

func serve(tb testing.TB, o Options, log *slog.Logger) *Server {
	tb.Helper()
	o.Name, o.Address = "public", "127.0.0.1:0"
	s := New(o, log)
	if err := s.Open(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	go func() {
		if err := s.Serve(); err != nil {
			tb.Error(err)
		}
	}()
	tb.Cleanup(func() { _ = s.http.Close() })
	return s
}
