package listen_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/ops"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

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

// When sockets, which are never closed for others, have all descriptors, the ops listener has some
// of its own, and says what is wrong.
func TestOperatorsReadWhatIsWrongWhenSocketsHaveAllDescriptors(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Serve(t, "a", world.Program(t))
	p := chat(t, r)
	pid := r.Process.PID()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	limit := unix.Rlimit{Cur: uint64(len(files)), Max: 20000}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &limit, nil); err != nil {
		t.Fatal(err)
	}
	for range 100 { // they take what is free or becomes free, and wait
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, strings.Join(world.Upgrade("/ws/test/?ping=off"), "\r\n")+"\r\n\r\n")
	}
	counts(t, r, `roomspa_connections_refused_total{reason="open_files"}`)
	fresh := &http.Client{Timeout: world.Limit, Transport: &http.Transport{DisableKeepAlives: true}}
	for range 20 {
		res, err := fresh.Get(r.Ops("/readyz"))
		if err != nil {
			t.Fatal(err)
		}
		var answer ops.Readiness
		err = json.NewDecoder(res.Body).Decode(&answer)
		_ = res.Body.Close()
		i := slices.IndexFunc(answer.Warnings, func(w ops.Warning) bool { return w.Cause == "too_many_open_files" })
		if err != nil || i < 0 || !regexp.MustCompile(`^the limit of \d+ open files was used up`).MatchString(answer.Warnings[i].Text) {
			t.Errorf("it warns of %+v", answer.Warnings)
		}
		p.say(t)
	}
}

func TestClientsBehindAProxyHaveASharePerAddress(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a", world.TrustLoopback, func(o *app.Options) { o.AddressShare, o.SoftLimit, o.HardLimit = 0.25, 8, 8 })
	dial := func(from string) (*world.Socket, int) {
		s, res, err := r.Dial(t, world.Handshake{Path: "/ws/chat/1/2/", Subprotocols: []string{"bearer", w.Token(t, world.Customer)}, Header: http.Header{"X-Forwarded-For": {from}}})
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
