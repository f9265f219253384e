package redis_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func testPipeline(t *testing.T, p *world.RedisServers) {
	c := open(t, p.Options)
	early := wait(func(done func(error)) { c.Pipelines[0].Publish("test:order", []byte("early"), done) })
	if !errors.Is(early, room.ErrUnavailable) || cause.Of(early) != "" {
		t.Errorf("a publish before the first probe: %v (%s)", early, cause.Of(early))
	}
	run(t, c)
	s := subscribe(t, c, "test:order")
	const n = 3000
	var done sync.WaitGroup
	done.Add(n)
	for i := range n {
		c.Pipelines[0].Publish("test:order", []byte{byte(i >> 8), byte(i)}, func(err error) {
			if err != nil {
				t.Error(err)
			}
			done.Done()
		})
	}
	done.Wait()
	for i := range n {
		got, err := s.Receive(world.Limit)
		if err != nil || got.Kind != redis.Message || got.Payload != string([]byte{byte(i >> 8), byte(i)}) {
			t.Fatalf("payload %d: %+v, %v", i, got, err)
		}
	}
}

// subscribe returns a subscription that Redis has confirmed.
func subscribe(t *testing.T, c *redis.Client, channel string) *redis.Subscription {
	t.Helper()
	s, err := c.Subscribe(t.Context(), channel, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if e, err := s.Receive(world.Limit); err != nil || e != (redis.Event{Kind: redis.Subscribed, Channel: channel}) {
		t.Fatalf("received %+v, %v", e, err)
	}
	return s
}

func TestAPipelineRefusesUntilAProbeSucceeds(t *testing.T) {
	t.Parallel()
	p := world.RedisStandalone(t)
	c := open(t, p.Options)
	ctx, cancel := context.WithCancel(t.Context())
	reports := make(chan error, 1000)
	var running sync.WaitGroup
	running.Go(func() { c.Pipelines[0].Run(ctx, func(err error) { reports <- err }) })
	publish := func() error {
		return wait(func(done func(error)) { c.Pipelines[0].Publish("test:x", nil, done) })
	}
	probe := func() error { return wait(func(done func(error)) { c.Pipelines[0].Probe("test:x", nil, done) }) }

	if err := errors.Join(probe(), <-reports, publish()); err != nil {
		t.Fatal(err)
	}
	if err := p.Nodes[0].Kill(); err != nil {
		t.Fatal(err)
	}
	if err := probe(); !errors.Is(err, room.ErrUnavailable) {
		t.Errorf("a probe without Redis: %v", err)
	}
	if err := <-reports; cause.Of(err) == "" {
		t.Errorf("reported %v", err)
	}
	if err := p.Nodes[0].Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := publish(); !errors.Is(err, room.ErrUnavailable) {
		t.Errorf("a publish before a probe: %v", err)
	}
	world.Eventually(t, "a probe succeeds", func() (bool, any) {
		err := probe()
		return err == nil, err
	})
	if err := publish(); err != nil {
		t.Error(err)
	}
	cancel()
	running.Wait()
	if err := publish(); !errors.Is(err, room.ErrUnavailable) {
		t.Errorf("a publish after the end: %v", err)
	}
}

// go-redis would dial again and subscribe again.
func TestASubscriptionEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	p := world.RedisStandalone(t)
	c := open(t, p.Options)
	channel := redis.Name(p.Options.Prefix, world.Deployment.ID, "x")
	s := subscribe(t, c, channel)
	p.KillSubscribers(t, "x")
	for range 2 {
		if e, err := s.Receive(world.Limit); cause.Of(err) != "redis_connection_lost" {
			t.Errorf("received %+v, %v (%s)", e, err, cause.Of(err))
		}
	}
	if n := p.Subscribers(t, "x"); n != 0 {
		t.Errorf("%d subscribers are back", n)
	}
	s = subscribe(t, c, channel)
	if e, err := s.Receive(time.Millisecond); !errors.Is(err, redis.ErrTimeout) {
		t.Errorf("received %+v, %v", e, err)
	}
	s.Cut()
	if err := s.Ping(); err == nil {
		t.Error("a subscription that was cut sends a PING")
	}
}
