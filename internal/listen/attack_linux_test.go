package listen_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// half and lines are request heads without their ends, of many bytes and of many lines, which cost net/http a hundred bytes
// each; whole is a request that leaves the connection idle.
var (
	lines = "GET / HTTP/1.1\r\nHost: x\r\n" + manyLines(3000)
	half  = "GET /ws/test/ HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-A: "+strings.Repeat("a", 3500)+"\r\n", 4)
	whole = "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"
)

func manyLines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%x:\r\n", i)
	}
	return b.String()
}

// strangers opens connections from one address and sends a text on each.
func strangers(t *testing.T, r *world.Replica, from string, n int, text string) (open []net.Conn) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 5 * time.Second}
	for range n {
		c, err := d.DialContext(t.Context(), "tcp", r.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_, _ = io.WriteString(c, text) // it may be refused already
		open = append(open, c)
	}
	return open
}

// handshake opens the chat of the customer from an address and returns the status.
func handshake(t *testing.T, r *world.Replica, from string) int {
	t.Helper()
	c := strangers(t, r, from, 1, strings.Join(world.Upgrade("/ws/chat/1/2/", "Authorization: Bearer "+r.World.Token(t, world.Customer)), "\r\n")+"\r\n\r\n")[0]
	_ = c.SetReadDeadline(time.Now().Add(world.Limit))
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("a handshake from %s: %v", from, err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// fewFiles returns a command that runs the program with an open-file limit.
func fewFiles(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "roomspa")
	text := fmt.Sprintf("#!/bin/sh\nulimit -n %d\nexec %s \"$@\"\n", n, world.Program(t))
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil { //nolint:gosec // a program of this test
		t.Fatal(err)
	}
	return path
}

// A pair chats while something happens to its replica.
type pair struct {
	customer, therapist *world.Socket
	sent                int
}

func chat(t *testing.T, r *world.Replica) *pair {
	t.Helper()
	p := &pair{customer: r.Chat(t, world.Customer), therapist: r.Chat(t, world.Therapist)}
	p.say(t)
	return p
}

// say sends a message and requires that it arrives, and that the replica is alive and ready.
func (p *pair) say(t *testing.T) {
	t.Helper()
	text := "message " + strconv.Itoa(p.sent)
	p.customer.Say(t, text, strconv.Itoa(p.sent))
	if f := p.therapist.Find(t, "chat_message"); !strings.Contains(f.Raw, `"`+text+`"`) {
		t.Fatalf("got %s, want %q", f.Raw, text)
	}
	p.sent++
}

func alive(t *testing.T, r *world.Replica) {
	t.Helper()
	for _, path := range []string{"/livez", "/readyz", "/metrics"} {
		if status, _, body := world.Get(t, r.Ops(path)); status != http.StatusOK {
			t.Errorf("%s is %d: %s", path, status, body)
		}
	}
}

func TestHalfHeadsCostLittle(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Serve(t, "a", world.Program(t), "ROOMSPA_MEMORY_LIMIT=268435456", "ROOMSPA_ADDRESS_SHARE=0.25")
	p := chat(t, r)
	before := resident(t, r)
	for i := range 10 {
		strangers(t, r, fmt.Sprintf("127.0.0.%d", 10+i), 150, half)
		strangers(t, r, fmt.Sprintf("127.0.0.%d", 10+i), 150, lines)
		p.say(t)
		alive(t, r)
		if status := handshake(t, r, "127.0.0.2"); status != http.StatusSwitchingProtocols {
			t.Errorf("a handshake is answered with %d", status)
		}
	}
	if more := resident(t, r) - before; more > 100<<10 {
		t.Errorf("3,000 half heads take %d KiB", more)
	}
}

func TestIdleConnectionsLeaveWhenFilesAreShort(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Serve(t, "a", fewFiles(t, 400), "ROOMSPA_ADDRESS_SHARE=0.25")
	p := chat(t, r)
	for i := range 9 {
		strangers(t, r, fmt.Sprintf("127.0.0.%d", 10+i), 50, whole)
		p.say(t)
		alive(t, r)
		if status := handshake(t, r, "127.0.0.2"); status != http.StatusSwitchingProtocols {
			t.Errorf("a handshake is answered with %d", status)
		}
	}
	counts(t, r, `roomspa_connections_evicted_total{state="idle"}`)
}

func TestOneAddressCannotTakeAllPlaces(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Serve(t, "a", fewFiles(t, 400), "ROOMSPA_ADDRESS_SHARE=0.25")
	p := chat(t, r)
	var held []net.Conn
	for range 10 { // sockets, which are not closed for others
		held = append(held, strangers(t, r, "127.0.0.3", 50, strings.Join(world.Upgrade("/ws/test/?ping=off"), "\r\n")+"\r\n\r\n")...)
		p.say(t)
		alive(t, r)
		if status := handshake(t, r, "127.0.0.2"); status != http.StatusSwitchingProtocols {
			t.Errorf("a handshake from another address is answered with %d", status)
		}
	}
	got := map[int]int{}
	for _, c := range held {
		_ = c.SetReadDeadline(time.Now().Add(world.Limit))
		if res, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil {
			got[res.StatusCode]++
			if ref := res.Header.Get("Roomspa-Ref"); ref == "" {
				t.Errorf("an answer of %d has no reference", res.StatusCode)
			}
		}
	}
	if n := got[http.StatusSwitchingProtocols]; n < 64 || n > 128 {
		t.Errorf("one address got %v; of 256 places it may have up to a half, and no more", got)
	}
	counts(t, r, `roomspa_connections_refused_total{reason="address_share"}`)
	if n := strings.Count(r.Log.String(), "[Connections] Connections refused: 127.0.0.3/32"); n != 1 {
		t.Errorf("the refusals have %d lines, want 1", n)
	}
}

// A process that has no descriptors left frees one of an idle connection, and the probes answer.
func TestProbesAnswerWithoutDescriptors(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Serve(t, "a", world.Program(t))
	p := chat(t, r)
	strangers(t, r, "127.0.0.3", 50, whole)
	pid := r.Process.PID()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	limit := unix.Rlimit{Cur: uint64(len(files)) - 5, Max: 20000}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &limit, nil); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		alive(t, r)
		p.say(t)
	}
	counts(t, r, `roomspa_connections_refused_total{reason="open_files"}`)
}

func TestClientsBehindAProxyHaveASharePerAddress(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a", world.TrustLoopback, func(o *app.Options) { o.AddressShare, o.SoftLimit, o.HardLimit = 0.25, 8, 8 })
	dial := func(from string) (*world.Socket, int) {
		s, res, err := r.Dial(t, world.Handshake{Path: "/ws/test/", Header: http.Header{"X-Forwarded-For": {from}}})
		if err != nil && res == nil {
			t.Fatal(err)
		}
		if err != nil {
			return nil, res.StatusCode
		}
		return s, 0
	}
	var open []*world.Socket
	for range 4 {
		s, status := dial("203.0.113.1")
		if s == nil {
			t.Fatalf("refused with %d", status)
		}
		open = append(open, s)
	}
	if _, status := dial("203.0.113.1"); status != http.StatusServiceUnavailable {
		t.Errorf("over the share: status %d", status)
	}
	if s, status := dial("2001:db8::1"); s == nil {
		t.Errorf("another address is refused with %d", status)
	}
	for _, s := range open {
		_ = s.Conn.CloseNow()
		r.WaitDisconnected(t, s)
	}
	if s, status := dial("203.0.113.1"); s == nil {
		t.Errorf("refused with %d although its sockets have ended", status)
	}
}

// counts requires that a metric is above 0.
func counts(t *testing.T, r *world.Replica, line string) {
	t.Helper()
	world.Eventually(t, line+" is counted", func() (bool, any) {
		n := r.Metric(t, line)
		return n > 0, n
	})
}

// resident returns the resident memory of a replica's process in KiB.
func resident(t *testing.T, r *world.Replica) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.Process.PID()))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := bytes.Cut(text, []byte("VmRSS:"))
	n, err := strconv.Atoi(string(bytes.Fields(rest)[0]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
