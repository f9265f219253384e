package app_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// TestSIGTERMEndsTheProgramInOrder ends a `roomspa serve` in which people chat, as Kubernetes does. How long each part may
// take is tested in internal/session, in virtual time; exit code 0 says that no part took longer.
func TestSIGTERMEndsTheProgramInOrder(t *testing.T) {
	t.Parallel()
	const wait = time.Second
	w := world.New(t)
	r := w.Serve(t, "a", world.Program(t), fmt.Sprint("ROOMSPA_SHUTDOWN_WAIT=", wait), "ROOMSPA_DRAIN_TIMEOUT=4s")
	var sockets []*world.Socket
	for range 10 {
		sockets = append(sockets, r.Chat(t, world.Customer), r.Chat(t, world.Therapist))
	}
	var talking sync.WaitGroup
	var acknowledged atomic.Int64
	for i, s := range sockets {
		talking.Go(func() { talk(t, s, strconv.Itoa(i), &acknowledged) })
	}
	world.Eventually(t, "all chat", func() (bool, any) { n := acknowledged.Load(); return n > 200, n })

	began := time.Now()
	if err := syscall.Kill(r.Process.PID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	world.Wait(t, "the program ends after SIGTERM", r.Process.Done())
	if took := time.Since(began); took < wait {
		t.Errorf("it ended after %v, want %v or more to leave the endpoints", took, wait)
	}
	talking.Wait()
	if err := r.Process.Err(); !strings.Contains(err.Error(), "exit status 0") {
		t.Errorf("how it ended: %v", err)
	}
	cut := 0
	for _, s := range sockets {
		switch end := s.WaitEnd(t); websocket.CloseStatus(end) {
		case 1012:
		case -1:
			cut++ // on a busy machine the drain time may end before everybody was asked
		default:
			t.Errorf("a socket ended with %v", end)
		}
	}
	if cut > len(sockets)/2 {
		t.Errorf("%d of %d sockets were cut", cut, len(sockets))
	}
	if stored := world.Query[int64](t, w, "SELECT count(*) FROM roomspa.messages"); stored < acknowledged.Load() {
		t.Errorf("%d messages are stored, %d were acknowledged", stored, acknowledged.Load())
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
			w := &world.World{DatabaseURL: "postgres://localhost/x", RedisURL: "redis://localhost", Secret: world.Secret}
			o := w.Options(t, func(o *app.Options) {
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

func TestTokensThatExpireAtOnceAreRefused(t *testing.T) {
	t.Parallel()
	w := &world.World{DatabaseURL: "postgres://localhost/x", RedisURL: "redis://localhost", Secret: world.Secret}
	for want, edit := range map[string]func(*app.Options){
		"--access-token-ttl must be 1s or more":  func(o *app.Options) { o.AccessTokenTTL = 0 },
		"--refresh-token-ttl must be 1s or more": func(o *app.Options) { o.RefreshTokenTTL = 0 },
	} {
		o := w.Options(t, edit)
		if err := o.Validate(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
