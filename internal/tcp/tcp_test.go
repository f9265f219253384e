package tcp_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/roomspa/roomspa/internal/tcp"
)

// pair returns both ends of a connection. The first one is the dialled one.
func pair(t testing.TB) (dialled, accepted *tcp.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := tcp.Dial(t.Context(), &net.Dialer{}, "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	dialled, accepted = c.(*tcp.Conn), tcp.New(a.(*net.TCPConn))
	t.Cleanup(func() { _, _ = dialled.Close(), accepted.Close() })
	return dialled, accepted
}

func TestConnIsANetConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		a, b := pair(t)
		return a, b, func() { _, _ = a.Close(), b.Close() }, nil
	})
}

// TestErrorsAreThoseOfPackageNet compares the errors with those of the same calls of package net.
func TestErrorsAreThoseOfPackageNet(t *testing.T) {
	p := make([]byte, 1)
	for name, c := range map[string]struct {
		spoil func(own, other *tcp.Conn)
		call  func(io.ReadWriter) (int, error)
		want  error
	}{
		"the peer has closed": {func(_, other *tcp.Conn) { _ = other.Close() }, func(c io.ReadWriter) (int, error) { return c.Read(p) }, io.EOF},
		"the peer has reset": {func(own, other *tcp.Conn) {
			_, _ = own.Write(p)
			_ = other.SetLinger(0)
			_ = other.Close()
		}, func(c io.ReadWriter) (int, error) { return c.Read(p) }, syscall.ECONNRESET},
		"read after the deadline":  {func(own, _ *tcp.Conn) { _ = own.SetDeadline(time.Unix(1, 0)) }, func(c io.ReadWriter) (int, error) { return c.Read(p) }, os.ErrDeadlineExceeded},
		"write after the deadline": {func(own, _ *tcp.Conn) { _ = own.SetDeadline(time.Unix(1, 0)) }, func(c io.ReadWriter) (int, error) { return c.Write(p) }, os.ErrDeadlineExceeded},
		"read after Close":         {func(own, _ *tcp.Conn) { _ = own.Close() }, func(c io.ReadWriter) (int, error) { return c.Read(p) }, net.ErrClosed},
		"write after Close":        {func(own, _ *tcp.Conn) { _ = own.Close() }, func(c io.ReadWriter) (int, error) { return c.Write(p) }, net.ErrClosed},
		"write after CloseWrite":   {func(own, _ *tcp.Conn) { _ = own.CloseWrite() }, func(c io.ReadWriter) (int, error) { return c.Write(p) }, syscall.EPIPE},
	} {
		t.Run(name, func(t *testing.T) {
			own, other := pair(t)
			c.spoil(own, other)
			n, err := c.call(own)
			if n != 0 || !errors.Is(err, c.want) {
				t.Errorf("got %d, %v; want %v", n, err, c.want)
			}
			if errors.Is(c.want, syscall.ECONNRESET) {
				return // the kernel says it once
			}
			if _, std := c.call(own.TCPConn); err.Error() != std.Error() {
				t.Errorf("got %q, package net says %q", err, std)
			}
		})
	}
}

// TestAWriteGoesOnUntilAllIsWritten writes more than the kernel takes, and has a deadline pass.
func TestAWriteGoesOnUntilAllIsWritten(t *testing.T) {
	own, other := pair(t)
	sent := bytes.Repeat([]byte("0123456789"), 1<<20)
	wrote := make(chan error, 1)
	go func() {
		_, err := own.Write(sent)
		wrote <- err
	}()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(other, got); err != nil || !bytes.Equal(got, sent) {
		t.Error("received something else: ", err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	_ = own.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	n, err := own.Write(sent)
	if n == 0 || n >= len(sent) || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %d, %v for a peer that stops reading", n, err)
	}
	if _, err := io.ReadFull(other, got[:n]); err != nil || !bytes.Equal(got[:n], sent[:n]) {
		t.Error("received something else: ", err)
	}
}

func TestTryWriteDoesNotWait(t *testing.T) {
	own, other := pair(t)
	sent, total := bytes.Repeat([]byte("0123456789"), 1<<16), 0
	for {
		n := own.TryWrite(sent)
		if total += n; n < len(sent) {
			break
		}
	}
	got, want := make([]byte, total), bytes.Repeat(sent, 1+total/len(sent))
	if _, err := io.ReadFull(other, got); err != nil || total < len(sent) || !bytes.Equal(got, want[:total]) {
		t.Errorf("%d bytes were written, and something else was received: %v", total, err)
	}
	if other.TryWrite(nil) != 0 || other.Close() != nil || other.TryWrite(sent) != 0 {
		t.Error("wrote nothing or to a closed connection")
	}
}

func TestIdle(t *testing.T) {
	own, other := pair(t)
	if !own.Idle() {
		t.Error("an open connection without data is not idle")
	}
	p := make([]byte, 1)
	if _, err := other.Write(p); err != nil {
		t.Fatal(err)
	}
	hears(t, own)
	if _, err := own.Read(p); err != nil || !own.Idle() {
		t.Error("not idle after all was read: ", err)
	}
	_ = other.Close()
	hears(t, own)
	if _ = own.Close(); own.Idle() {
		t.Error("a closed connection is idle")
	}
}

// hears waits until the connection is no longer idle.
func hears(t *testing.T, c *tcp.Conn) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if err := raw.Read(func(uintptr) bool { return !c.Idle() }); err != nil {
		t.Fatal(err)
	}
}

func TestBelow(t *testing.T) {
	own, _ := pair(t)
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	for name, c := range map[string]struct {
		above net.Conn
		found bool
	}{
		"itself":         {own, true},
		"package net's":  {own.TCPConn, true},
		"PROXY protocol": {proxied{server, own}, true},
		"a listener's":   {accepted{server, own}, true},
		"TLS":            {tls.Server(own, &tls.Config{MinVersion: tls.VersionTLS12}), false},
		"a pipe":         {server, false},
	} {
		got := tcp.Below(c.above)
		if c.found != (got != nil) || c.found && got.TCPConn != own.TCPConn {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

type proxied struct {
	net.Conn
	raw net.Conn
}

func (p proxied) Raw() net.Conn { return p.raw }

type accepted struct {
	net.Conn
	below net.Conn
}

func (a accepted) NetConn() net.Conn { return a.below }

func BenchmarkRoundTrip(b *testing.B) {
	for _, bench := range []struct {
		name string
		of   func(*tcp.Conn) net.Conn
	}{
		{"tcp", func(c *tcp.Conn) net.Conn { return c }},
		{"net", func(c *tcp.Conn) net.Conn { return c.TCPConn }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			x, y := pair(b)
			own, other := bench.of(x), bench.of(y)
			go func() { _, _ = io.Copy(struct{ io.Writer }{other}, struct{ io.Reader }{other}) }()
			p := make([]byte, 100)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := own.Write(p); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(own, p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
