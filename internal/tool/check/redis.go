package check

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/channel"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/ops"
	"github.com/roomspa/roomspa/internal/redis"
)

// layerTimeout bounds the wait for the channel layer and for a message over it.
const layerTimeout = 3 * time.Second

// redisChecks checks Redis: that it answers, that it takes every command of a replica and, with a
// message to itself, the channel layer. An ACL or a proxy may allow the one and not the other.
func redisChecks(ctx context.Context, o app.Options, d event.Deployment) (checks []ops.Check, closeRedis func()) {
	const advice = "Set --redis-url or ROOMSPA_REDIS_URL, as in redis://:password@host:6379/0; in the modes sentinel and cluster also --redis-mode."
	o.Replica = "check"
	client, err := redis.Open(o.Redis(), nil)
	if err != nil {
		if o.RedisURL == "" {
			err = errors.New("the Redis URL is missing")
		}
		return []ops.Check{failed("redis", err, advice)}, func() {}
	}
	running, cancel := context.WithCancel(ctx)
	layer := channel.New(client, slog.New(slog.DiscardHandler), nil)
	layer.UseSharded(layer.CanShard(ctx))
	layer.Use(d)
	var run sync.WaitGroup
	run.Go(func() { layer.Run(running) })
	closeRedis = func() {
		cancel()
		run.Wait()
		_ = client.Close() // the connections are gone in any case
	}
	var warnings []string
	for _, c := range []ops.Check{
		{Name: "redis", Run: func(ctx context.Context) (string, error) {
			if err := client.Ping(ctx); err != nil {
				return "", err
			}
			return strings.TrimSpace("Redis " + client.ServerVersion(ctx)), client.CheckMode(ctx)
		}},
		{Name: "redis_commands", Run: client.CheckCommands},
		{Name: "redis_settings", Run: func(ctx context.Context) (detail string, err error) {
			detail, warnings, err = client.CheckSettings(ctx)
			return detail, err
		}, Warn: func(context.Context) error { return join(warnings) }},
		{Name: "channel_layer", Run: func(ctx context.Context) (string, error) {
			ctx, cancel := context.WithTimeout(ctx, layerTimeout)
			defer cancel()
			return "a test message came back over the subscription", checkLayer(ctx, layer)
		}, Warn: func(context.Context) error { return layer.Finding() }},
	} {
		c.Address = client.Address()
		checks = append(checks, c)
	}
	return checks, closeRedis
}

// checkLayer waits until the layer is up, and then for a message of its own.
func checkLayer(ctx context.Context, layer *channel.Layer) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := layer.Health()
		if err == nil {
			return layer.Check(ctx)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}
