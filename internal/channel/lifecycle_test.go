package channel_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/channel"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestStoppingSendsWhatWasHandedIn(t *testing.T) {
	t.Parallel()
	url, prefix := world.Redis(t)
	o := redis.Options{URL: url, Prefix: prefix, Timeout: world.Limit}
	other := open(t, o).Layer
	client, err := redis.Open(o, nil)
	if err != nil {
		t.Fatal(err)
	}
	layer := channel.New(client, slog.New(slog.DiscardHandler), nil)
	layer.Use(world.Deployment)
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() { layer.Run(ctx) })
	up(t, layer, other)
	heard := join(t, other, "chat_1_1")

	const n = 2000
	var done sync.WaitGroup
	done.Add(n)
	for i := range n {
		layer.Publish("chat_1_1", text(itoa(i)), func(err error) {
			if err != nil {
				t.Error(err)
			}
			done.Done()
		})
	}
	cancel()
	within(t, "Run returns", run.Wait)
	within(t, "everything was done", done.Wait)
	for i := range n {
		heard.wants(t, itoa(i))
	}

	if err := tryPublish(t, layer, "chat_1_1", "too late"); !errors.Is(err, room.ErrUnavailable) {
		t.Errorf("a publish after the end: %v", err)
	}
	if _, err := layer.Join(t.Context(), "chat_1_2", func(event.Event) {}, func(bool) {}); !errors.Is(err, room.ErrUnavailable) {
		t.Errorf("a join after the end: %v", err)
	}
	if _, err := layer.Health(); err == nil {
		t.Error("a stopped layer says that it is well")
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
}

func TestALayerNeedsNoServer(t *testing.T) {
	t.Parallel()
	for _, o := range []redis.Options{
		{URL: "redis://127.0.0.1:1"},
		{URL: "redis://127.0.0.1:1", Mode: "sentinel", MasterName: "m"},
		{URL: "redis://127.0.0.1:1", Mode: "cluster"},
	} {
		t.Run(o.Mode, func(t *testing.T) {
			t.Parallel()
			c := open(t, o)
			world.Eventually(t, "the layer has tried to connect", func() (bool, any) {
				_, err := c.Layer.Health()
				return err != nil && !strings.Contains(err.Error(), "not connected yet"), err
			})
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			_, err := c.Layer.Join(ctx, "chat_1_1", func(event.Event) {}, func(bool) {})
			if !errors.Is(err, room.ErrUnavailable) {
				t.Error(err)
			}
			if err := tryPublish(t, c.Layer, "chat_1_1", "x"); !errors.Is(err, room.ErrUnavailable) {
				t.Error(err)
			}
			if err := c.Layer.Check(t.Context()); !errors.Is(err, room.ErrUnavailable) {
				t.Error(err)
			}
		})
	}
}

// A join that is given up says so, and leaves nothing behind.
func TestAJoinMayBeGivenUp(t *testing.T) {
	t.Parallel()
	c := open(t, redis.Options{URL: "redis://127.0.0.1:1"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Layer.Join(ctx, "chat_1_1", func(event.Event) {}, func(bool) {})
	if !errors.Is(err, room.ErrUnavailable) {
		t.Error(err)
	}
}
