package app_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/roomspa/roomspa/internal/app"
)

// hoard opens a socket whose echoes wait in the replica, since the client reads none. It
// returns nil where it is refused.
func (r *replica) hoard(t *testing.T) *websocket.Conn {
	t.Helper()
	conn, res, err := websocket.Dial(t.Context(), "ws://"+r.Addr()+"/ws/test/", &websocket.DialOptions{HTTPClient: small})
	if err != nil && res != nil && res.StatusCode == http.StatusServiceUnavailable {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	more(t, conn, 8)
	return conn
}

// more sends messages of 60 kB to the echo.
func more(t *testing.T, conn *websocket.Conn, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range n {
		if err := conn.Write(ctx, websocket.MessageText, make([]byte, 60_000)); err != nil {
			t.Fatalf("a socket that was open ended: %v", err)
		}
	}
}

// answer is what a new socket gets: "" for an echo, and otherwise why not.
func (r *replica) answer(t *testing.T) (why string, s *socket) {
	t.Helper()
	s, res, err := r.try(t, dial{path: "/ws/test/"})
	if err != nil {
		if res == nil {
			t.Fatal(err)
		}
		return res.Status, nil
	}
	_ = s.conn.Write(t.Context(), websocket.MessageText, []byte("x")) // it may be closed already
	if g := s.next(t); g.raw != "x" {
		return g.raw, s
	}
	_ = s.conn.CloseNow()
	return "", nil
}

// TestAReplicaRefusesBeforeItsMemoryIsUsedUp fills a process with what clients do not
// read: it tells new sockets to come back, then does not even do that, keeps those that it
// has, and takes new ones when the memory is free again.
func TestAReplicaRefusesBeforeItsMemoryIsUsedUp(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux says how much memory a process takes")
	}
	const limit = 160 << 20
	r, _ := newWorld(t).serve(t, "a", build(t, "../.."), fmt.Sprint("ROOMSPA_MEMORY_LIMIT=", limit), "ROOMSPA_WRITE_TIMEOUT=2m", "GOMEMLIMIT=")
	if got := r.metric(t, "roomspa_memory_limit_bytes"); got != limit {
		t.Errorf("it goes by a limit of %v", got)
	}
	if !strings.Contains(r.text.String(), "of 160 MiB used; garbage collector limit 80 MiB") {
		t.Error("the collector does not know of it")
	}
	used := func() float64 { return r.metric(t, "roomspa_memory_used_bytes") / limit }
	if now := used(); now < 0.05 || now > 0.5 {
		t.Errorf("without sockets it uses a share of %v", now)
	}
	first := r.chat(t, customer)
	var hoards []*websocket.Conn
	why, refused := r.answer(t)
	for ; why == ""; why, refused = r.answer(t) {
		if h := r.hoard(t); h != nil {
			hoards = append(hoards, h)
		}
		if len(hoards) > 400 {
			t.Fatalf("nobody is refused at a share of %v", used())
		}
	}
	if refused != nil { // else a collection found so much at once that not even that is said
		if c, _ := refused.closed(t); int(c.Code) != 1013 || !strings.HasPrefix(c.Reason, "busy ") || !strings.Contains(why, `"reconnect"`) {
			t.Errorf("refused with %s, %v", why, c)
		}
		if lines := r.text.about(refused.header.Get("Roomspa-Ref")); !strings.Contains(lines, "busy: this replica's memory is nearly used up; come back later") {
			t.Errorf("the log does not say why: %s", lines)
		}
		r.room(t, "/ws/chat/1/2/", therapist, nil).refusal(t, 1013, "busy")
	}
	// The collector keeps to half of it, and at four fifths of that it would have no rest.
	if now := used(); now < 0.4 {
		t.Errorf("somebody is refused at a share of %v", now)
	}
	if cycles := r.metric(t, "go_gc_duration_seconds_count"); cycles > float64(100+len(hoards)) {
		t.Errorf("%v collections for %d sockets", cycles, len(hoards))
	}

	for _, h := range hoards { // those who are there want more
		if why, _ = r.answer(t); strings.HasPrefix(why, "503") {
			break
		}
		more(t, h, 8)
	}
	res, body := r.raw(t, shake("/ws/chat/1/2/")...)
	if d := problemOf(t, res, body, http.StatusServiceUnavailable); !strings.Contains(fmt.Sprint(d), "memory is nearly used up") || res.Header.Get("Retry-After") == "" {
		t.Errorf("refused with %+v, Retry-After %q", d, res.Header.Get("Retry-After"))
	}

	first.say(t, "are you there", "memory-1")
	first.find(t, "ack")
	for _, h := range hoards {
		if err := h.Write(t.Context(), websocket.MessageText, []byte("x")); err != nil {
			t.Errorf("a socket that was open ended: %v", err)
		}
		_ = h.CloseNow()
	}
	eventually(t, busy(8*time.Second), "there is memory again", func() (bool, any) {
		why, _ := r.answer(t)
		return why == "", why
	})
	first.say(t, "are you still there", "memory-2")
	first.find(t, "ack")
}

// TestWithoutMemoryNobodySignsIn shows that sign-ins go by the same limit.
func TestWithoutMemoryNobodySignsIn(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux says how much memory a process takes")
	}
	r := newWorld(t).ready(t, "a", func(o *app.Options) { o.MemoryLimit = 16 << 20 }) // all these tests are in one process
	r.world.givePassword(t, customer)
	a := r.post(t, "/login/", m{"identifier": "user1@example.com", "password": password})
	if a.status != http.StatusServiceUnavailable || a.Code != "busy" || a.header.Get("Retry-After") == "" {
		t.Errorf("a sign-in is refused with %+v", a)
	}
}
