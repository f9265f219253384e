// Package redistest starts private Redis servers for tests, in each mode that the
// product supports, and looks at them from outside.
package redistest

import (
	"context"
	"regexp"
	"strconv"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

// Password is the password of all servers.
const Password = "a-test-password-that-no-error-may-show"

// Limit bounds every wait in a test. It says nothing about how long things should take.
const Limit = time.Minute

// Servers are the servers of one test.
type Servers struct {
	// Options make a client wait patiently, so that a busy machine is no outage. Tests of
	// outages that only a timeout reveals use Impatient.
	Options redis.Options
	Nodes   []*sandbox.Redis
}

// Modes start servers in each mode.
var Modes = map[string]func(testing.TB) *Servers{"standalone": Standalone, "sentinel": Sentinel, "cluster": Cluster}

func patient(o redis.Options) redis.Options {
	o.Prefix, o.Timeout = "test:", Limit
	return o
}

// Impatient returns Options with the timeout that the product has by default.
func (s *Servers) Impatient() redis.Options {
	o := s.Options
	o.Timeout = 0
	return o
}

// All calls f, such as (*sandbox.Redis).Pause, for each server.
func (s *Servers) All(t testing.TB, f func(*sandbox.Redis) error) {
	t.Helper()
	for _, n := range s.Nodes {
		if err := f(n); err != nil {
			t.Fatal(err)
		}
	}
}

// Each calls f with a connection to each server.
func (s *Servers) Each(t testing.TB, f func(ctx context.Context, node *goredis.Client)) {
	t.Helper()
	for _, n := range s.Nodes {
		Direct(t, n.URL(), f)
	}
}

// Sum adds up a number over all servers.
func (s *Servers) Sum(t testing.TB, f func(ctx context.Context, node *goredis.Client) int) (total int) {
	t.Helper()
	s.Each(t, func(ctx context.Context, node *goredis.Client) { total += f(ctx, node) })
	return total
}

// Direct calls f with a connection to one server.
func Direct(t testing.TB, url string, f func(ctx context.Context, node *goredis.Client)) {
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
func (s *Servers) Subscribers(t testing.TB, group string) int {
	t.Helper()
	channel := s.Options.Prefix + group
	return s.Sum(t, func(ctx context.Context, node *goredis.Client) int {
		counts, err := node.PubSubNumSub(ctx, channel).Result()
		if err != nil {
			t.Fatal(err)
		}
		return int(counts[channel])
	})
}

// KillSubscribers kills all subscriptions on the servers where somebody is subscribed to
// the group. In a cluster a killed subscriber reconnects to another server, and is left
// alone there.
func (s *Servers) KillSubscribers(t testing.TB, group string) {
	t.Helper()
	var urls []string
	Eventually(t, func() (bool, any) { // on a busy machine it may be reconnecting
		for _, n := range s.Nodes {
			if one := (&Servers{s.Options, []*sandbox.Redis{n}}); one.Subscribers(t, group) > 0 {
				urls = append(urls, n.URL())
			}
		}
		return len(urls) > 0, "there is no subscriber to kill"
	})
	for _, url := range urls {
		Direct(t, url, func(ctx context.Context, node *goredis.Client) {
			if err := node.ClientKillByFilter(ctx, "TYPE", "pubsub").Err(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

var subscribeCalls = regexp.MustCompile(`cmdstat_subscribe:calls=(\d+)`)

// SubscribeCommands returns the number of SUBSCRIBE commands that the servers executed.
func (s *Servers) SubscribeCommands(t testing.TB) int {
	t.Helper()
	return s.Sum(t, func(ctx context.Context, node *goredis.Client) int {
		found := subscribeCalls.FindStringSubmatch(node.Info(ctx, "commandstats").Val())
		if found == nil {
			return 0
		}
		n, _ := strconv.Atoi(found[1])
		return n
	})
}

// ForgetScripts does to scripts what a restart or a failover does.
func (s *Servers) ForgetScripts(t testing.TB) {
	t.Helper()
	s.Each(t, func(ctx context.Context, node *goredis.Client) {
		if err := node.ScriptFlush(ctx).Err(); err != nil {
			t.Fatal(err)
		}
	})
}

// Eventually calls ask until it returns true. It fails the test after [Limit], with what
// ask saw last.
func Eventually(t testing.TB, ask func() (ok bool, seen any)) {
	t.Helper()
	deadline := time.Now().Add(Limit)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, seen := ask()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v; last seen: %v", Limit, seen)
		}
		<-tick.C
	}
}
