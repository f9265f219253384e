package handshake

import (
	"bytes"
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
	"github.com/roomspa/roomspa/internal/logging"
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
		echo.Endpoint("a"), {Name: "chat", Component: "ChatConsumer", IDs: endpoint.RoomIDs},
	}, log, reg)
	s.logLimiter, s.anonymous = rate.NewLimiter(0, 0), rate.NewLimiter(0, 1)
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
