package app_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/roomspa/roomspa/internal/app"
)

// TestSIGTERMEndsTheProgramInTime ends a `roomspa serve` in which people chat, as
// Kubernetes does.
func TestSIGTERMEndsTheProgramInTime(t *testing.T) {
	t.Parallel()
	const wait, drain, flush = time.Second, 4 * time.Second, 2 * time.Second
	w := newWorld(t)
	r, p := w.serve(t, "a", build(t, "../.."), fmt.Sprint("ROOMSPA_SHUTDOWN_WAIT=", wait),
		fmt.Sprint("ROOMSPA_DRAIN_TIMEOUT=", drain), fmt.Sprint("ROOMSPA_FLUSH_TIMEOUT=", flush))
	var sockets []*socket
	for range 10 {
		sockets = append(sockets, r.chat(t, customer), r.chat(t, therapist))
	}
	var talking sync.WaitGroup
	var acknowledged atomic.Int64
	for i, s := range sockets {
		talking.Go(func() { s.chatter(t, fmt.Sprint(i), &acknowledged) })
	}
	eventually(t, patience, "all chat", func() (bool, any) { n := acknowledged.Load(); return n > 200, n })

	began := time.Now()
	if err := syscall.Kill(p.PID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Done():
	case <-time.After(patience):
		t.Fatalf("it runs still, %v after SIGTERM", patience)
	}
	took := time.Since(began)
	talking.Wait()
	if err := p.Err(); !strings.Contains(err.Error(), "exit status 0") {
		t.Errorf("how it ended: %v", err)
	}
	if took < wait || took > busy(wait+drain+flush) {
		t.Errorf("it ended after %v, want %v to leave the endpoints and not more than %v in all", took, wait, wait+drain+flush)
	}
	for _, s := range sockets {
		if code := websocket.CloseStatus(s.end); code != 1012 {
			t.Errorf("a socket ended with %v", s.end)
		}
	}
	if stored := query[int64](t, w, "SELECT count(*) FROM roomspa.messages"); stored < acknowledged.Load() {
		t.Errorf("%d messages are stored, %d were acknowledged", stored, acknowledged.Load())
	}
}

// chatter sends one message after the other, each when the one before is acknowledged,
// until the socket ends.
func (s *socket) chatter(t *testing.T, name string, acknowledged *atomic.Int64) {
	n := 0
	say := func() {
		n++
		text := fmt.Sprintf(`{"type":"chat_message","message":"hi","client_message_id":"%s-%d"}`, name, n)
		_ = s.conn.Write(t.Context(), websocket.MessageText, []byte(text)) // where it cannot, the frames end too
	}
	say()
	for g := range s.frames {
		if g.Type == "ack" {
			acknowledged.Add(1)
			say()
		}
	}
}

func TestAGracePeriodThatIsTooShortIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		grace time.Duration
		want  string
	}{
		"nobody knows":      {0, ""},
		"a second to spare": {31 * time.Second, ""},
		"none to spare":     {30 * time.Second, "--grace-period is 30s, but must be above 30s: shutdown-wait 5s + drain-timeout 20s + flush-timeout 5s"},
		"too short":         {10 * time.Second, "--grace-period is 10s, but must be above 30s"},
		"negative":          {-time.Second, "--grace-period is -1s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &world{databaseURL: "postgres://localhost/x", redisURL: "redis://localhost"}
			o := w.options(t, func(o *app.Options) {
				o.ShutdownWait, o.DrainTimeout, o.FlushTimeout, o.GracePeriod = 5*time.Second, 20*time.Second, 5*time.Second, c.grace
			})
			switch err := o.Validate(); {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)):
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}
