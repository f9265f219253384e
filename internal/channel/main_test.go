package channel_test

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/channel"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestMain(m *testing.M) { world.Main(m) }

// A replica is a client with a layer.
type replica struct {
	*redis.Client
	Layer *channel.Layer
}

// open returns a replica whose layer runs until the end of the test.
func open(t testing.TB, o redis.Options) replica {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
	return openWith(t, o, log, prometheus.NewRegistry())
}

func openWith(t testing.TB, o redis.Options, log *slog.Logger, reg prometheus.Registerer) replica {
	t.Helper()
	return start(t, o, log, reg, func(l *channel.Layer) error { return l.CanShard(t.Context()) })
}

// openPubSub returns a layer that uses sharded Pub/Sub, or does not for a reason.
func openPubSub(t testing.TB, o redis.Options, refusal error) *channel.Layer {
	t.Helper()
	return start(t, o, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), func(*channel.Layer) error { return refusal }).Layer
}

func start(t testing.TB, o redis.Options, log *slog.Logger, reg prometheus.Registerer, refusal func(*channel.Layer) error) replica {
	t.Helper()
	o.Log = log
	c, err := redis.Open(o, reg)
	if err != nil {
		t.Fatal(err)
	}
	r := replica{c, channel.New(c, log, reg)}
	r.Layer.UseSharded(refusal(r.Layer))
	r.Layer.Use(world.Deployment)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var run sync.WaitGroup
	run.Go(func() { r.Layer.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		within(t, "the layer's Run returns", run.Wait)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// up waits until the layers are up.
func up(t testing.TB, layers ...*channel.Layer) {
	t.Helper()
	for _, l := range layers {
		world.Eventually(t, "the layer is up", func() (bool, any) {
			_, err := l.Health()
			return err == nil, err
		})
	}
}

// within fails the test unless f returns.
func within(t testing.TB, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { f(); close(done) }()
	select {
	case <-done:
	case <-time.After(2 * world.Limit): // twice: a patient client may need one
		t.Fatalf("%s: not within %v", what, 2*world.Limit)
	}
}

// A listener is a member of a group that records what it is told.
type listener struct {
	got    chan string
	missed chan struct{}
	leave  func()
}

func join(t testing.TB, l *channel.Layer, group string) *listener {
	t.Helper()
	ls := &listener{got: make(chan string, 100_000), missed: make(chan struct{}, 1)}
	ctx, cancel := context.WithTimeout(t.Context(), world.Limit)
	defer cancel()
	leave, err := l.Join(ctx, group, func(e event.Event) { ls.got <- string(e.Body) }, func(bool) {
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
		case <-time.After(world.Limit):
			t.Fatalf("%q did not come within %v", want, world.Limit)
		}
	}
}

// toldMissed fails the test unless missed is called.
func (ls *listener) toldMissed(t testing.TB) {
	t.Helper()
	select {
	case <-ls.missed:
	case <-time.After(world.Limit):
		t.Fatalf("missed was not called within %v", world.Limit)
	}
}

// publish publishes, and fails the test if that fails.
func publish(t testing.TB, l *channel.Layer, group, payload string) {
	t.Helper()
	if err := tryPublish(t, l, group, payload); err != nil {
		t.Fatal(err)
	}
}

// tryPublish publishes and waits for the outcome.
func tryPublish(t testing.TB, l *channel.Layer, group, payload string) (err error) {
	t.Helper()
	done := make(chan error, 2)
	l.Publish(group, text(payload), func(err error) { done <- err })
	within(t, "a publish is done", func() { err = <-done })
	return err
}

// hears waits until what l publishes is heard. In a cluster that has just come back,
// nodes may not know each other yet.
func hears(t *testing.T, l *channel.Layer, ls *listener, group string) {
	t.Helper()
	world.Eventually(t, "a publish is heard", func() (bool, any) {
		if err := tryPublish(t, l, group, "back"); err != nil {
			return false, err
		}
		deadline := time.After(500 * time.Millisecond)
		for {
			select {
			case got := <-ls.got:
				if got == "back" {
					return true, nil
				}
			case <-deadline:
				return false, "published, but not heard"
			}
		}
	})
}

// text is a body without meaning.
func text(s string) event.Body { return event.Story(s) }

func itoa(n int) string { return strconv.Itoa(n) }
