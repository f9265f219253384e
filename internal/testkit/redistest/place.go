package redis_test

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/testkit/sandbox"
	"github.com/roomspa/roomspa/internal/testkit/sandbox/sandboxtest"
)

const secret = "a-test-password-that-no-error-may-show"

// A place is a Redis of a test's own, in one of the modes.
type place struct {
	options redis.Options
	nodes   []*sandbox.Redis
}

func (p *place) each(t testing.TB, f func(ctx context.Context, node *goredis.Client)) {
	t.Helper()
	for _, n := range p.nodes {
		direct(t, n.URL(), f)
	}
}

// direct talks to one server, past what is tested.
func direct(t testing.TB, url string, f func(ctx context.Context, node *goredis.Client)) {
	t.Helper()
	o, err := goredis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client := goredis.NewClient(o)
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 15*time.Second)
	defer cancel()
	f(ctx, client)
}

// sum adds up a number over the nodes.
func (p *place) sum(t testing.TB, f func(ctx context.Context, node *goredis.Client) int) (total int) {
	t.Helper()
	p.each(t, func(ctx context.Context, node *goredis.Client) { total += f(ctx, node) })
	return total
}

// subscribers counts the connections that are subscribed to a group.
func (p *place) subscribers(t testing.TB, group string) int {
	t.Helper()
	channel := p.options.Prefix + group
	return p.sum(t, func(ctx context.Context, node *goredis.Client) int {
		counts, err := node.PubSubNumSub(ctx, channel).Result()
		if err != nil {
			t.Fatal(err)
		}
		return int(counts[channel])
	})
}

// killSubscribers does CLIENT KILL TYPE pubsub, where somebody is subscribed to
// the group. In a cluster a subscriber that was killed comes back elsewhere, and
// is left alone there.
func (p *place) killSubscribers(t testing.TB, group string) {
	t.Helper()
	var where []string
	eventually(t, 10*time.Second, func() (bool, any) { // on a busy machine it may just be coming back
		for _, n := range p.nodes {
			one := place{p.options, []*sandbox.Redis{n}}
			if one.subscribers(t, group) > 0 {
				where = append(where, n.URL())
			}
		}
		return len(where) > 0, "there is no subscriber to kill"
	})
	for _, url := range where {
		direct(t, url, func(ctx context.Context, node *goredis.Client) {
			if err := node.ClientKillByFilter(ctx, "TYPE", "pubsub").Err(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func (p *place) all(t testing.TB, f func(*sandbox.Redis) error) {
	t.Helper()
	for _, n := range p.nodes {
		if err := f(n); err != nil {
			t.Fatal(err)
		}
	}
}

func standalone(t testing.TB) *place {
	t.Helper()
	server := sandboxtest.OwnRedis(t, map[string]string{"requirepass": secret})
	return &place{redis.Options{URL: server.URL(), Prefix: "test:"}, []*sandbox.Redis{server}}
}

// cluster starts three masters and introduces them to each other.
func cluster(t testing.TB) *place {
	t.Helper()
	p := &place{options: redis.Options{Mode: "cluster", Prefix: "test:"}}
	var addrs []string
	for range 3 {
		server := sandboxtest.OwnRedis(t, map[string]string{
			"requirepass": secret, "cluster-enabled": "yes", "cluster-node-timeout": "5000",
		})
		p.nodes, addrs = append(p.nodes, server), append(addrs, server.Addr())
	}
	p.options.URL = "redis://default:" + secret + "@" + strings.Join(addrs, ",")
	for i, n := range p.nodes {
		direct(t, n.URL(), func(ctx context.Context, node *goredis.Client) {
			from, to := i*16384/3, (i+1)*16384/3-1
			if err := node.Do(ctx, "CLUSTER", "ADDSLOTSRANGE", from, to).Err(); err != nil {
				t.Fatal(err)
			}
			for _, other := range addrs[:i] {
				host, port, _ := net.SplitHostPort(other)
				if err := node.ClusterMeet(ctx, host, port).Err(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	p.settled(t)
	return p
}

// settled waits until all nodes of a cluster agree that it is fine.
func (p *place) settled(t testing.TB) {
	t.Helper()
	eventually(t, 60*time.Second, func() (bool, any) {
		seen := ""
		fine := p.sum(t, func(ctx context.Context, node *goredis.Client) int {
			slots, err := node.ClusterSlots(ctx).Result()
			info := node.ClusterInfo(ctx).Val()
			seen += fmt.Sprintln(len(slots), err, info)
			if len(slots) == len(p.nodes) && strings.Contains(info, "cluster_state:ok") {
				return 1
			}
			return 0
		})
		return fine == len(p.nodes), seen
	})
}

// sentinel starts a master, a replica of it, and one sentinel that decides alone.
func sentinel(t testing.TB) *place {
	t.Helper()
	settings := map[string]string{"requirepass": secret, "masterauth": secret, "repl-diskless-sync-delay": "0"}
	master := sandboxtest.OwnRedis(t, settings)
	host, port, _ := net.SplitHostPort(master.Addr())
	settings["replicaof"] = host + " " + port
	replica := sandboxtest.OwnRedis(t, settings)
	at := startSentinel(t, master, []string{
		"sentinel monitor roomspa " + host + " " + port + " 1",
		"sentinel auth-pass roomspa " + secret,
		"sentinel down-after-milliseconds roomspa 1000",
		"sentinel failover-timeout roomspa 3000",
	})
	eventually(t, 30*time.Second, func() (bool, any) {
		var seen any
		ok := false
		direct(t, "redis://"+at, func(ctx context.Context, s *goredis.Client) {
			replicas, err := s.Do(ctx, "SENTINEL", "REPLICAS", "roomspa").Slice()
			seen = fmt.Sprint(replicas, err)
			ok = len(replicas) == 1 && strings.Contains(fmt.Sprint(replicas), "master-link-status ok") ||
				strings.Contains(fmt.Sprint(replicas), "master-link-status:ok")
		})
		return ok, seen
	})
	return &place{redis.Options{
		URL: "redis://default:" + secret + "@" + at, Mode: "sentinel", MasterName: "roomspa", Prefix: "test:",
	}, []*sandbox.Redis{master, replica}}
}

func itoa(n int) string { return strconv.Itoa(n) }

// forgetScripts does what a restart or a failover does to scripts.
func (p *place) forgetScripts(t testing.TB) {
	t.Helper()
	p.each(t, func(ctx context.Context, node *goredis.Client) {
		if err := node.ScriptFlush(ctx).Err(); err != nil {
			t.Fatal(err)
		}
	})
}
