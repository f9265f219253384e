package redis_test

import (
	"context"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestMain(m *testing.M) { world.Main(m) }

func open(t testing.TB, o redis.Options) *redis.Client {
	t.Helper()
	c, err := redis.Open(o, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	c.Use(world.Deployment)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// shared returns a client of the shared server.
func shared(t testing.TB) (client *redis.Client, url, prefix string) {
	t.Helper()
	url, prefix = world.Redis(t)
	return open(t, redis.Options{URL: url, Prefix: prefix, Timeout: world.Limit}), url, prefix
}

// run runs the pipelines until the end of the test, and waits until they are up.
func run(t testing.TB, c *redis.Client) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	for _, p := range c.Pipelines {
		running.Go(func() { p.Run(ctx, func(error) {}) })
	}
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	for _, p := range c.Pipelines {
		world.Eventually(t, "the pipeline is up", func() (bool, any) {
			err := wait(func(done func(error)) { p.Probe(c.Prefix()+"probe", nil, done) })
			return err == nil, err
		})
	}
}

// wait submits a command and returns its outcome. The timeout of the client bounds it.
func wait(submit func(done func(error))) error {
	done := make(chan error, 1)
	submit(func(err error) { done <- err })
	return <-done
}
