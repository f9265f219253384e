package netfault_test

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/roomspa/roomspa/internal/testkit/netfault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a target that sends everything back and tells what it saw.
func echo(t *testing.T) (addr string, seen <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buffer := make([]byte, 1024)
				for {
					n, err := c.Read(buffer)
					if n > 0 {
						heard <- string(buffer[:n])
						_, _ = c.Write(buffer[:n])
					}
					if err != nil {
						heard <- err.Error()
						return
					}
				}
			}()
		}
	}()
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String(), heard
}

func dial(t *testing.T, p *netfault.Proxy) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, c net.Conn, want string) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("received %q, %v; want %q", got, err, want)
	}
}

// silent shows that nothing comes for a moment.
func silent(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	n, err := c.Read(make([]byte, 1))
	if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
		t.Fatalf("read %d bytes, %v; want silence", n, err)
	}
}

func TestHealthyProxyPassesBytesAndEnds(t *testing.T) {
	t.Parallel()
	addr, seen := echo(t)
	p := netfault.New(t, addr)
	c := dial(t, p)
	send(t, c, "hello")
	receive(t, c, "hello")
	if got := <-seen; got != "hello" {
		t.Errorf("target saw %q", got)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := <-seen; got != io.EOF.Error() {
		t.Errorf("target saw %q, want the end of the stream", got)
	}
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("read %d, %v; want the end of the stream", n, err)
	}
	if got := p.Counts(); got.Accepted != 1 || got.Up != 5 || got.Down != 5 {
		t.Errorf("counts = %+v", got)
	}
}

func TestCutResetsAndRefusesUntilHeal(t *testing.T) {
	t.Parallel()
	addr, seen := echo(t)
	p := netfault.New(t, addr)
	c := dial(t, p)
	send(t, c, "a")
	receive(t, c, "a")
	<-seen
	p.Cut()
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("client sees %v, want a reset", err)
	}
	if got := <-seen; got == io.EOF.Error() {
		t.Errorf("target sees %q, want a reset", got)
	}
	if _, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("new connection: %v, want it refused", err)
	}
	for range 2 {
		p.Heal()
	}
	c = dial(t, p)
	send(t, c, "b")
	receive(t, c, "b")
}

func TestRetargetLeadsNewConnectionsElsewhere(t *testing.T) {
	t.Parallel()
	before, _ := echo(t)
	after, seen := echo(t)
	p := netfault.New(t, before)
	old := dial(t, p)
	send(t, old, "a")
	receive(t, old, "a")
	p.Retarget(after)
	send(t, old, "b")
	receive(t, old, "b")
	c := dial(t, p)
	send(t, c, "c")
	receive(t, c, "c")
	select {
	case got := <-seen:
		if got != "c" {
			t.Errorf("the new target saw %q", got)
		}
	case <-time.After(20 * time.Second):
		t.Error("the new target saw nothing")
	}
}

func TestStallHoldsBytesBackUntilHeal(t *testing.T) {
	t.Parallel()
	addr, seen := echo(t)
	p := netfault.New(t, addr)
	old := dial(t, p)
	send(t, old, "a")
	receive(t, old, "a")
	<-seen
	p.Stall()
	fresh := dial(t, p)
	send(t, old, "b")
	send(t, fresh, "c")
	silent(t, old)
	silent(t, fresh)
	select {
	case got := <-seen:
		t.Errorf("target saw %q during the stall", got)
	default:
	}
	p.Heal()
	receive(t, old, "b")
	receive(t, fresh, "c")
}

func TestOneDirectionStalls(t *testing.T) {
	t.Parallel()
	addr, seen := echo(t)
	p := netfault.New(t, addr)
	c := dial(t, p)
	send(t, c, "a")
	receive(t, c, "a")
	<-seen
	p.StallDown()
	send(t, c, "b")
	if got := <-seen; got != "b" { // carried out, and the answer is not seen
		t.Errorf("target saw %q", got)
	}
	silent(t, c)
	p.Heal()
	receive(t, c, "b")
	p.StallUp()
	send(t, c, "c")
	silent(t, c)
	select {
	case got := <-seen:
		t.Errorf("target saw %q during the stall", got)
	default:
	}
}

func TestDelayIsLatencyNotRate(t *testing.T) {
	t.Parallel()
	addr, _ := echo(t)
	p := netfault.New(t, addr)
	c := dial(t, p)
	const delay = 100 * time.Millisecond
	p.Delay(delay)
	began := time.Now()
	var want []byte
	for i := range 20 {
		send(t, c, string(rune('a'+i)))
		want = append(want, byte('a'+i))
	}
	receive(t, c, string(want))
	if took := time.Since(began); took < 2*delay {
		t.Errorf("there and back took %s, want at least %s", took, 2*delay)
	}
}

func TestCloseEndsStalledAndDelayedConnections(t *testing.T) {
	t.Parallel()
	addr, seen := echo(t)
	p, err := netfault.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, p)
	send(t, c, "a")
	receive(t, c, "a")
	<-seen
	p.Delay(time.Hour)
	send(t, c, "b")
	silent(t, c)
	p.Stall()
	dial(t, p)
	for range 2 {
		p.Close() // returns although bytes are due in an hour
	}
	p.Heal()
	if _, err := net.Dial("tcp", p.Addr()); err == nil {
		t.Error("a closed proxy took a connection")
	}
	if open := p.Counts().Open; open != 0 {
		t.Errorf("%d connections are open", open)
	}
}

func TestTargetThatRefusesResets(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	c, err := net.Dial("tcp", netfault.New(t, l.Addr().String()).Addr())
	if err == nil {
		defer c.Close()
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) { // it may come before Dial has returned
		t.Errorf("client sees %v, want a reset", err)
	}
}

func TestURLKeepsAllButTheAddress(t *testing.T) {
	t.Parallel()
	p := netfault.New(t, "127.0.0.1:1")
	got := p.URL("postgres://user:secret@db:5432/room?sslmode=disable")
	if want := "postgres://user:secret@" + p.Addr() + "/room?sslmode=disable"; got != want {
		t.Errorf("URL = %s, want %s", got, want)
	}
}
