package app_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// newStoreless returns a replica whose stores are away: it runs and is not ready.
func newStoreless(t *testing.T, log io.Writer, edit ...func(*app.Options)) *app.App {
	t.Helper()
	w := &world.World{DatabaseURL: "postgres://localhost:1/none", RedisURL: "redis://localhost:1", Secret: world.Secret}
	o := w.Options(t, edit...)
	a, err := app.New(o, "test", slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// run runs a replica, and returns when it accepts connections.
func run(t *testing.T, ctx context.Context, a *app.App) (ended <-chan error) { //nolint:revive // as thelper wants it
	t.Helper()
	end := make(chan error, 1)
	go func() { end <- a.Run(ctx) }()
	select {
	case <-a.Started():
	case err := <-end:
		t.Fatalf("not started: %v", err)
	}
	return end
}

func TestAReplicaRunsOnce(t *testing.T) {
	t.Parallel()
	a := newStoreless(t, t.Output())
	ctx, cancel := context.WithCancel(t.Context())
	ended := run(t, ctx, a)
	if err := a.Run(ctx); err == nil {
		t.Error("it can be run a second time")
	}
	res, err := http.Get("http://" + a.OpsAddr() + "/livez") //nolint:noctx // its own context would change nothing
	if err != nil {
		t.Fatalf("the second Run has stopped the first: %v", err)
	}
	_ = res.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := a.Run(t.Context()); err == nil {
		t.Error("it can be run again after its end")
	}
}

func TestARunThatCannotListenGivesEverythingBack(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	a := newStoreless(t, t.Output(), func(o *app.Options) { o.OpsListen = taken.Addr().String() })
	if err := a.Run(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "open the ops listener: ") {
		t.Errorf("Run returns %v", err)
	}
	select {
	case <-a.Started():
		t.Error("it says that it has started")
	default:
	}
	if ln, err := net.Listen("tcp", a.Addr()); err != nil {
		t.Errorf("the public port is not given back: %v", err)
	} else {
		_ = ln.Close()
	}
}

func TestHurrySkipsTheWait(t *testing.T) {
	t.Parallel()
	a := newStoreless(t, t.Output(), func(o *app.Options) { o.ShutdownWait, o.DrainTimeout = time.Hour, time.Hour })
	ctx, cancel := context.WithCancel(t.Context())
	ended := run(t, ctx, a)
	cancel()
	a.Hurry()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestAStartLogsNoError probes a replica before it is connected, as Kubernetes does.
func TestAStartLogsNoError(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	began := time.Now()
	r := w.Start(t, "a")
	if status, answer := r.Readyz(t); status != http.StatusOK {
		if time.Since(began) > time.Second {
			t.Skipf("this machine is too busy: %v since the start", time.Since(began))
		}
		t.Errorf("the first probe finds it not ready: %+v", answer)
	}
	if log := r.Log.String(); strings.Contains(log, "level=ERROR") {
		t.Error("a start without a fault logs an error")
	}
	if page := openMetrics(t, r); !strings.Contains(page, `roomspa_connections{dialect="roomspa",endpoint="chat"} 0`) {
		t.Error("it has no number of connections before the first one, so an autoscaler would not scale in")
	}
}
