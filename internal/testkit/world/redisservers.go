package world

import (
	"context"
	"regexp"
	"strconv"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

// RedisPassword is the password of all RedisServers.
const RedisPassword = "a-test-password-that-no-error-may-show"

// Deployment is the identity of tests that have no Postgres.
var Deployment = event.Deployment{ID: "0123456789abcdef", Timeline: 1, Keys: []event.Key{{ID: event.KeyID{1}, Secret: [32]byte{1}}}}

// RedisServers are the Redis servers of one test.
type RedisServers struct {
	// Options make a client wait patiently, so that a busy machine is no outage. Tests of
	// outages that only a timeout reveals use Impatient.
	Options redis.Options
	Nodes   []*sandbox.Redis
}

// RedisModes start servers in each mode.
var RedisModes = map[string]func(testing.TB) *RedisServers{"standalone": RedisStandalone, "sentinel": RedisSentinel, "cluster": RedisCluster}

func patient(o redis.Options) redis.Options {
	o.Prefix, o.Timeout = "test:", Limit
	return o
}

// Impatient returns Options with the timeout that the product has by default.
func (s *RedisServers) Impatient() redis.Options {
	o := s.Options
	o.Timeout = 0
	return o
}

// All calls f, such as (*sandbox.Redis).Pause, for each server.
func (s *RedisServers) All(t testing.TB, f func(*sandbox.Redis) error) {
	t.Helper()
	for _, n := range s.Nodes {
		if err := f(n); err != nil {
			t.Fatal(err)
		}
	}
}

// Each calls f with a connection to each server.
func (s *RedisServers) Each(t testing.TB, f func(ctx context.Context, node *goredis.Client)) {
	t.Helper()
	for _, n := range s.Nodes {
		RedisDirect(t, n.URL(), f)
	}
}

// Sum adds up a number over all servers.
func (s *RedisServers) Sum(t testing.TB, f func(ctx context.Context, node *goredis.Client) int) (total int) {
	t.Helper()
	s.Each(t, func(ctx context.Context, node *goredis.Client) { total += f(ctx, node) })
	return total
}

// RedisDirect calls f with a connection to one server.
func RedisDirect(t testing.TB, url string, f func(ctx context.Context, node *goredis.Client)) {
	t.Helper()
	o, err := goredis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = Limit, Limit, Limit
	client := goredis.NewClient(o)
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), Limit)
	defer cancel()
	f(ctx, client)
}

// Subscribers returns the number of connections that are subscribed to a group.
func (s *RedisServers) Subscribers(t testing.TB, group string) int {
	t.Helper()
	channel := redis.Name(s.Options.Prefix, Deployment.ID, group)
	return s.Sum(t, func(ctx context.Context, node *goredis.Client) int {
		plain, err := node.PubSubNumSub(ctx, channel).Result()
		if err != nil {
			t.Fatal(err)
		}
		sharded, err := node.PubSubShardNumSub(ctx, channel).Result()
		if err != nil {
			t.Fatal(err)
		}
		return int(plain[channel] + sharded[channel])
	})
}

// KillSubscribers kills all subscriptions on the servers where somebody is subscribed to
// the group. In a cluster a killed subscriber reconnects to another server, and is left
// alone there.
func (s *RedisServers) KillSubscribers(t testing.TB, group string) {
	t.Helper()
	var urls []string
	Eventually(t, "there is a subscriber to kill", func() (bool, any) { // on a busy machine it may be reconnecting
		for _, n := range s.Nodes {
			if one := (&RedisServers{s.Options, []*sandbox.Redis{n}}); one.Subscribers(t, group) > 0 {
				urls = append(urls, n.URL())
			}
		}
		return len(urls) > 0, nil
	})
	for _, url := range urls {
		RedisDirect(t, url, func(ctx context.Context, node *goredis.Client) {
			if err := node.ClientKillByFilter(ctx, "TYPE", "pubsub").Err(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

var subscribeCalls = regexp.MustCompile(`cmdstat_s?subscribe:calls=(\d+)`)

// SubscribeCommands returns the number of SUBSCRIBE and SSUBSCRIBE commands that the servers executed.
func (s *RedisServers) SubscribeCommands(t testing.TB) int {
	t.Helper()
	return s.Sum(t, func(ctx context.Context, node *goredis.Client) int {
		calls := 0
		for _, found := range subscribeCalls.FindAllStringSubmatch(node.Info(ctx, "commandstats").Val(), -1) {
			n, _ := strconv.Atoi(found[1])
			calls += n
		}
		return calls
	})
}

// ForgetScripts does to scripts what a restart or a failover does.
func (s *RedisServers) ForgetScripts(t testing.TB) {
	t.Helper()
	s.Each(t, func(ctx context.Context, node *goredis.Client) {
		if err := node.ScriptFlush(ctx).Err(); err != nil {
			t.Fatal(err)
		}
	})
}

// CPU returns the processor time that all servers have used.
func (s *RedisServers) CPU(t testing.TB) time.Duration {
	t.Helper()
	total := time.Duration(0)
	s.Each(t, func(ctx context.Context, node *goredis.Client) {
		for _, found := range usedCPU.FindAllStringSubmatch(node.Info(ctx, "cpu").Val(), -1) {
			seconds, _ := strconv.ParseFloat(found[1], 64)
			total += time.Duration(seconds * float64(time.Second))
		}
	})
	return total
}

var usedCPU = regexp.MustCompile(`(?m)^used_cpu_(?:sys|user):([0-9.]+)`)
