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

	"github.com/roomspa/roomspa/internal/testkit/world"
)

// half and lines are request heads without their ends, of many bytes and of many lines, which cost net/http a hundred bytes
// each; whole is a request that leaves the connection idle.
var (
	lines = "GET / HTTP/1.1\r\nHost: x\r\n" + manyLines(2400)
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
