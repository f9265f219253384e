package listen

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"testing"
	"time"
)

// TestAnEvictedConnectionIsClosed has a place for one plain connection, which is idle.
func TestAnEvictedConnectionIsClosed(t *testing.T) {
	t.Parallel()
	s := serve(t, Options{Limits: small(1, 2, 1, 1), Handler: http.NotFoundHandler()}, slog.New(slog.DiscardHandler))
	first, err := net.Dial("tcp", s.Addr()) //nolint:noctx // to this machine
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = first.Close() })
	_ = first.SetDeadline(time.Now().Add(5 * time.Second)) // the idle timeout is longer
	_, _ = io.WriteString(first, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	r := bufio.NewReader(first)
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	if res, _ := send(t, s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); res.StatusCode != http.StatusNotFound {
		t.Errorf("the second one is answered with %d", res.StatusCode)
	}
	if _, err := r.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the first one is still open: %v", err)
	}
}

func TestATrustedProxyHasNoShare(t *testing.T) {
	t.Parallel()
	l := small(0.25, 4, 4, 4)
	s := serve(t, Options{Limits: l, Handler: http.NotFoundHandler(), TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}, slog.New(slog.DiscardHandler))
	for range 4 {
		if res, _ := send(t, s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); res.StatusCode != http.StatusNotFound {
			t.Errorf("answered with %d", res.StatusCode)
		}
	}
	if n := l.count(); n != 4 {
		t.Errorf("%d of 4 connections are left", n)
	}
}

// Whether net/http keeps its deadlines is not tested here, but that it has them.
func TestEveryStateOfAConnectionHasADeadline(t *testing.T) {
	t.Parallel()
	h := New(Options{Name: "public", WriteTimeout: time.Minute}, slog.New(slog.DiscardHandler)).http
	for state, c := range map[string]struct{ got, most time.Duration }{
		"head": {h.ReadHeaderTimeout, 10 * time.Second}, "body": {h.ReadTimeout, 20 * time.Second},
		"idle": {h.IdleTimeout, 2 * time.Minute}, "answer": {h.WriteTimeout, time.Minute},
	} {
		if c.got <= 0 || c.got > c.most {
			t.Errorf("%s: %v, want at most %v", state, c.got, c.most)
		}
	}
}
