package handshake

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/echo"
	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/session"
	"github.com/roomspa/roomspa/internal/story"
)

type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Above its rate a good handshake leaves no line, and a refused one all of them.
func TestOnlyTheLinesOfGoodHandshakesAreSampled(t *testing.T) {
	t.Parallel()
	var out safeBuffer
	log := logging.New(&out, logging.Options{Format: "text", Replica: "a"})
	keys, err := auth.NewKeys([]string{strings.Repeat("s", 32)})
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	sockets := session.NewRegistry(t.Context(), session.Options{
		MaxMessageBytes: 1024, PingInterval: time.Minute, PongTimeout: time.Minute, WriteTimeout: time.Second, SoftLimit: 100, HardLimit: 100,
	}, reg)
	s := New(t.Context(), Options{MaxHandshakes: 4, Stories: story.NewRecorder("a", nil, log, reg)}, sockets, keys, nil, []endpoint.Endpoint{
		echo.Endpoint("a", nil), {Name: "chat", Component: "ChatConsumer", IDs: endpoint.RoomIDs},
	}, log, reg)
	s.anonymous = rate.NewLimiter(0, 1)
	server := httptest.NewServer(s)
	defer server.Close()
	connect := func(path string) (ref string) {
		t.Helper()
		c, res, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(server.URL, "http")+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for err == nil {
			_, _, err = c.ReadMessage()
		}
		return res.Header.Get("Roomspa-Ref")
	}
	logged, sampled, refused, bad := connect("/ws/test/?close=1000"), connect("/ws/test/?close=1000"), connect("/ws/chat/1/2/"), connect("/ws/test/?close=1")
	sockets.Drain(t.Context(), 10*time.Second)
	about := func(ref string) (lines string) {
		for line := range strings.Lines(out.String()) {
			if strings.Contains(line, ref) {
				lines += line
			}
		}
		return lines
	}
	if lines := about(logged); !strings.Contains(lines, "Connection attempt started") || !strings.Contains(lines, "Connection accepted") || !strings.Contains(lines, "WebSocket disconnected") {
		t.Errorf("within the rate:\n%s", lines)
	}
	if lines := about(sampled); lines != "" {
		t.Errorf("above it:\n%s", lines)
	}
	for _, want := range []string{"Processing connection for path: /ws/chat/1/2/", "level=WARNING", "No token provided", "Connection attempt started", "Connection rejected - user not authenticated"} {
		if lines := about(refused); !strings.Contains(lines, want) {
			t.Errorf("a refused one has no %q:\n%s", want, lines)
		}
	}
	if lines := about(bad); !strings.Contains(lines, "Connection attempt started") || !strings.Contains(lines, "bad close code") {
		t.Errorf("a refused one of the test endpoint:\n%s", lines)
	}
}

// Clients without a valid token write a few lines a minute, and not only few warnings.
func TestStrangersWriteFewLines(t *testing.T) {
	t.Parallel()
	var out safeBuffer
	reg := prometheus.NewRegistry()
	log := slog.New(logging.NewStrangers(logging.New(&out, logging.Options{Format: "text", Replica: "a"}).Handler(), reg))
	keys, err := auth.NewKeys([]string{strings.Repeat("s", 32)})
	if err != nil {
		t.Fatal(err)
	}
	sockets := session.NewRegistry(t.Context(), session.Options{
		MaxMessageBytes: 1024, PingInterval: time.Minute, PongTimeout: time.Minute, WriteTimeout: time.Second, SoftLimit: 100, HardLimit: 100,
	}, reg)
	s := New(t.Context(), Options{MaxHandshakes: 4, Stories: story.NewRecorder("a", nil, log, reg)}, sockets, keys, nil, []endpoint.Endpoint{
		{Name: "chat", Component: "ChatConsumer", IDs: endpoint.RoomIDs},
	}, log, reg)
	server := httptest.NewServer(s)
	defer server.Close()
	for range 20 {
		c, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(server.URL, "http")+"/ws/chat/1/2/?token=x", nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _, _ = c.ReadMessage()
		_ = c.Close()
	}
	sockets.Drain(t.Context(), 10*time.Second)
	for _, line := range []string{"Processing connection for path", "Token found", "Invalid token", "WebSocket disconnected"} {
		if n := strings.Count(out.String(), line); n != 10 {
			t.Errorf("%d lines say %q, want those of 10 handshakes", n, line)
		}
	}
}

// accounts are users of a role each. All exist.
type accounts map[room.UserID]room.Role

func (a accounts) Users(_ context.Context, ids []room.UserID) (map[room.UserID]*room.User, error) {
	found := map[room.UserID]*room.User{}
	for _, id := range ids {
		found[id] = &room.User{ID: id, Role: a[id], Active: true}
	}
	return found, nil
}

// A greeter is a consumer that sends one frame.
type greeter struct {
	endpoint.Consumer
	greeted bool
}

func (*greeter) Join(context.Context) error { return nil }
func (*greeter) Open(context.Context) error { return nil }
func (*greeter) Closed()                    {}
func (g *greeter) Next(context.Context, bool) (m frame.Message, err error) {
	if !g.greeted {
		m.Data, g.greeted = []byte("{}"), true
	}
	return m, nil
}

// Strangers and refused clients do not use up what users have, and support is never sampled.
func TestStrangersDropNoLinesOfUsers(t *testing.T) {
	t.Parallel()
	var out safeBuffer
	log := logging.New(&out, logging.Options{Format: "text", Replica: "a"})
	keys, err := auth.NewKeys([]string{strings.Repeat("s", 32)})
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	sockets := session.NewRegistry(t.Context(), session.Options{
		MaxMessageBytes: 1024, PingInterval: time.Minute, PongTimeout: time.Minute, WriteTimeout: time.Second, SoftLimit: 100, HardLimit: 100,
	}, reg)
	users := accounts{1: room.Customer, 2: room.Therapist, 6: room.Support}
	s := New(t.Context(), Options{MaxHandshakes: 4, Stories: story.NewRecorder("a", nil, log, reg)}, sockets, keys, users, []endpoint.Endpoint{
		echo.Endpoint("a", nil), {
			Name: "chat", Component: "ChatConsumer", IDs: endpoint.RoomIDs, Authorize: endpoint.AuthorizeRoom,
			Group: func(endpoint.Peer) string { return "chat_1_2" }, New: func(endpoint.Peer) endpoint.Consumer { return &greeter{} },
		},
	}, log, reg)
	s.anonymous, s.logged = rate.NewLimiter(0, 1), rate.NewLimiter(0, 1)
	server := httptest.NewServer(s)
	defer server.Close()
	connect := func(path string, user room.UserID) (ref string) {
		t.Helper()
		header := http.Header{}
		if user != 0 {
			token, _, err := keys.Mint(auth.Access, user, time.Now(), time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			header.Set("Authorization", "Bearer "+token)
		}
		c, res, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(server.URL, "http")+path, header)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _, _ = c.ReadMessage() // until the handshake has ended
		return res.Header.Get("Roomspa-Ref")
	}
	want := map[string]bool{}
	for i := range 3 {
		want[connect("/ws/test/?close=1000", 0)] = i == 0
		want[connect("/ws/chat/1/2/", 0)] = true // refused
	}
	for i, user := range []room.UserID{1, 2, 1, 6, 6} {
		want[connect("/ws/chat/1/2/", user)] = i == 0 || user == 6
	}
	sockets.Drain(t.Context(), 10*time.Second)
	for ref, logged := range want {
		if got := strings.Contains(out.String(), `Connection attempt started" replica=a component=ChatConsumer ref=`+ref) ||
			strings.Contains(out.String(), `Connection attempt started" replica=a component=TestConsumer ref=`+ref); got != logged {
			t.Errorf("%s is logged: %v, want %v", ref, got, logged)
		}
	}
}
