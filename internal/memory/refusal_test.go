package memory_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// fill opens a socket that reads nothing, so that its echoes wait in the replica. It returns nil where it is refused.
func fill(t *testing.T, r *world.Replica) *websocket.Conn {
	t.Helper()
	conn, res, err := websocket.Dial(t.Context(), "ws://"+r.Addr()+"/ws/test/", &websocket.DialOptions{HTTPClient: world.SmallBuffer})
	if err != nil && res != nil && res.StatusCode == http.StatusServiceUnavailable {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	if !fillMore(t, conn) {
		return nil // it was refused after the upgrade
	}
	return conn
}

// fillMore sends half a megabyte to the echo.
func fillMore(t *testing.T, conn *websocket.Conn) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), world.Limit)
	defer cancel()
	for range 8 {
		if conn.Write(ctx, websocket.MessageText, make([]byte, 60_000)) != nil {
			return false
		}
	}
	return true
}

// What a new socket gets.
const (
	admitted = "101"
	busy     = "1013" // a Close after the upgrade
	refused  = "503"
)

// knock opens a socket and returns what it gets. Every refusal must name the memory.
func knock(t *testing.T, r *world.Replica, path string) string {
	t.Helper()
	answer, ref := tryKnock(t, r, path)
	if answer != admitted {
		expectReason(t, r, ref)
	}
	return answer
}

// tryKnock is knock for a loop: the log does not hold every refusal of one address. It returns the reference of a refusal.
func tryKnock(t *testing.T, r *world.Replica, path string) (answer, ref string) {
	t.Helper()
	s, res, err := r.Dial(t, world.Handshake{Path: path, Subprotocols: []string{"bearer", r.World.Token(t, world.Therapist)}})
	if err != nil {
		if res == nil || res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" {
			t.Fatalf("refused with %v: %v", res, err)
		}
		return refused, res.Header.Get("Roomspa-Ref")
	}
	defer func() { _ = s.Conn.CloseNow() }()
	_ = s.Conn.Write(t.Context(), websocket.MessageText, []byte("x")) // it may be closed already
	f := s.Next(t)
	if f.Raw == "x" || f.Type == "connected" {
		return admitted, ""
	}
	c, _ := s.WaitClose(t)
	if int(c.Code) != 1013 || !strings.HasPrefix(c.Reason, "busy ") || f.Type != "reconnect" || f.Reason != "busy" {
		t.Fatalf("refused with %s, %v", f.Raw, c)
	}
	return busy, s.Ref()
}

func expectReason(t *testing.T, r *world.Replica, ref string) {
	t.Helper()
	world.Eventually(t, "the log says why "+ref+" was refused", func() (bool, any) {
		lines := strings.ToLower(r.Log.About(ref))
		return strings.Contains(lines, "this replica's memory is nearly used up"), lines
	})
}

// TestAReplicaRefusesBeforeItsMemoryIsUsedUp fills a small process with sockets that read nothing. It tells new ones to come
// back, keeps the socket that chats, and takes new ones when memory is free again. Open sockets cannot fill the rest: the byte
// budget bounds them. At which shares a replica refuses, before the upgrade too, is tested in internal/session.
func TestAReplicaRefusesBeforeItsMemoryIsUsedUp(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux says how much memory a process takes")
	}
	const limit = 96 << 20
	r := world.New(t).Serve(t, "a", world.Program(t), fmt.Sprint("ROOMSPA_MEMORY_LIMIT=", limit), "ROOMSPA_WRITE_TIMEOUT=1h", "GOMEMLIMIT=")
	if got := r.Metric(t, "roomspa_memory_limit_bytes"); got != limit {
		t.Errorf("it goes by a limit of %v", got)
	}
	if !strings.Contains(r.Log.String(), "of 96 MiB used; garbage collector limit 76 MiB") {
		t.Error("the collector does not know of it")
	}
	used := func() float64 { return r.Metric(t, "roomspa_memory_used_bytes") / limit }
	if now := used(); now < 0.05 || now > 0.7 {
		t.Errorf("without sockets it uses a share of %v", now)
	}
	first := r.Chat(t, world.Customer)
	var sockets []*websocket.Conn
	answer := knock(t, r, "/ws/test/")
	for ; answer == admitted; answer = knock(t, r, "/ws/test/") {
		if conn := fill(t, r); conn != nil {
			sockets = append(sockets, conn)
		}
		if len(sockets) > 1500 {
			t.Fatalf("nobody is refused at a share of %v", used())
		}
	}
	if answer := knock(t, r, "/ws/chat/1/2/"); answer == admitted {
		t.Error("the test endpoint refuses, and the chat does not")
	}
	// The collector keeps to half of the limit. At four fifths of that it would run all the time.
	if now := used(); now < 0.4 {
		t.Errorf("somebody is refused at a share of %v", now)
	}
	if cycles := r.Metric(t, "go_gc_duration_seconds_count"); cycles > float64(100+len(sockets)) {
		t.Errorf("%v collections for %d sockets", cycles, len(sockets))
	}

	first.Say(t, "are you there", "memory-1")
	first.Find(t, "ack")
	for _, conn := range sockets {
		_ = conn.CloseNow()
	}
	world.Eventually(t, "there is memory again", func() (bool, any) {
		answer, _ := tryKnock(t, r, "/ws/test/")
		return answer == admitted, answer
	})
	first.Say(t, "are you still there", "memory-2")
	first.Find(t, "ack")
}

// TestWithoutMemoryNobodySignsIn shows that sign-ins go by the same limit.
func TestWithoutMemoryNobodySignsIn(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux says how much memory a process takes")
	}
	w := world.New(t)
	r := w.Ready(t, "a", func(o *app.Options) { o.MemoryLimit = 16 << 20 }) // this process takes more
	a := r.Login(t, world.Customer, world.Password)
	if a.Status != http.StatusServiceUnavailable || a.Code != "busy" || a.RetryAfter < 1 {
		t.Errorf("a sign-in is refused with %+v", a)
	}
}
