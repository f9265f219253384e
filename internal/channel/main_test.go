package redis_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/testkit/sandbox/sandboxtest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(sandboxtest.Tests{M: m},
		// The library asks a server that is down once a second whether it is back, and looks only then whether it was closed.
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// open returns a client whose layer runs until the end of the test.
func open(t testing.TB, o redis.Options) *redis.Client {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
	return openWith(t, o, log, prometheus.NewRegistry())
}

func openWith(t testing.TB, o redis.Options, log *slog.Logger, reg prometheus.Registerer) *redis.Client {
	t.Helper()
	c, err := redis.Open(o, log, reg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var run sync.WaitGroup
	run.Go(func() { c.Layer.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		within(t, 6*time.Second, "the layer's Run returns", run.Wait)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// up waits until the layer is.
func up(t testing.TB, layers ...*redis.Layer) {
	t.Helper()
	for _, l := range layers {
		eventually(t, 15*time.Second, func() (bool, any) {
			_, err := l.Health()
			return err == nil, err
		})
	}
}

// eventually asks again and again until the answer is yes.
func eventually(t testing.TB, limit time.Duration, ask func() (bool, any)) {
	t.Helper()
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		yes, seen := ask()
		if yes {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v; last seen: %v", limit, seen)
		}
		<-tick.C
	}
}

// within fails the test unless f returns in time.
func within(t testing.TB, limit time.Duration, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { f(); close(done) }()
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatalf("%s: not within %v", what, limit)
	}
}

// A listener is a member of a group that remembers.
type listener struct {
	got    chan string
	missed chan struct{}
	leave  func()
}

func join(t testing.TB, l *redis.Layer, group string) *listener {
	t.Helper()
	ls := &listener{got: make(chan string, 100_000), missed: make(chan struct{}, 1)}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	leave, err := l.Join(ctx, group, func(p []byte) { ls.got <- string(p) }, func() {
		select {
		case ls.missed <- struct{}{}:
		default:
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	ls.leave = leave
	return ls
}

// wants fails the test unless the next payloads are these.
func (ls *listener) wants(t testing.TB, payloads ...string) {
	t.Helper()
	for _, want := range payloads {
		select {
		case got := <-ls.got:
			if got != want {
				t.Fatalf("got %q, want %q", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%q did not come within 10 s", want)
		}
	}
}

// toldMissed fails the test unless missed is called in time.
func (ls *listener) toldMissed(t testing.TB, limit time.Duration) {
	t.Helper()
	select {
	case <-ls.missed:
	case <-time.After(limit):
		t.Fatalf("missed was not called within %v", limit)
	}
}

// publish publishes and waits for the outcome.
func publish(t testing.TB, l *redis.Layer, group, payload string) {
	t.Helper()
	if err := publishing(t, l, group, payload); err != nil {
		t.Fatal(err)
	}
}

func publishing(t testing.TB, l *redis.Layer, group, payload string) error {
	t.Helper()
	done := make(chan error, 2)
	l.Publish(group, []byte(payload), func(err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("a publish was not done within 10 s")
		return nil
	}
}
