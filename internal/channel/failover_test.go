package channel_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	p := world.RedisSentinel(t)
	a, b := open(t, p.Options), open(t, p.Options)
	up(t, a.Layer, b.Layer)
	member := join(t, a.Layer, "chat_1_1")
	if err := p.Nodes[0].Kill(); err != nil {
		t.Fatal(err)
	}
	member.toldMissed(t)
	up(t, a.Layer, b.Layer)
	hears(t, b.Layer, member, "chat_1_1")
}

// A master that is asked to step down keeps its connections for a moment, and
// goes on as a replica, to which one can publish in vain.
func TestSentinelSwitchover(t *testing.T) {
	t.Parallel()
	p := world.RedisSentinel(t)
	a, b := open(t, p.Impatient()), open(t, p.Impatient())
	up(t, a.Layer, b.Layer)
	member := join(t, a.Layer, "chat_1_1")
	world.RedisDirect(t, "redis://"+p.Options.URL[strings.LastIndexByte(p.Options.URL, '@')+1:], func(ctx context.Context, s *goredis.Client) {
		if err := s.Do(ctx, "SENTINEL", "FAILOVER", "roomspa").Err(); err != nil {
			t.Fatal(err)
		}
	})
	member.toldMissed(t)
	up(t, a.Layer, b.Layer)
	hears(t, b.Layer, member, "chat_1_1")
}

// One master of three dies: with plain Pub/Sub the layer goes on through the others.
func TestClusterLosesAMaster(t *testing.T) {
	t.Parallel()
	for dead := range 3 {
		t.Run(itoa(dead), func(t *testing.T) {
			t.Parallel()
			p := world.RedisPlainCluster(t)
			a, b := open(t, p.Options), open(t, p.Options)
			up(t, a.Layer, b.Layer)
			member := join(t, a.Layer, "chat_1_1")
			if err := p.Nodes[dead].Kill(); err != nil {
				t.Fatal(err)
			}
			hears(t, b.Layer, member, "chat_1_1")
			up(t, a.Layer, b.Layer)
		})
	}
}

// After a name has moved to another server, one connection may lead to the new
// one and the other, still open, to the old: each works, and nothing is heard.
func TestPublishingToAnotherServerThanHearingIsNoticed(t *testing.T) {
	t.Parallel()
	for _, moved := range []string{"pubsub", "normal"} {
		t.Run(moved, func(t *testing.T) {
			t.Parallel()
			settings := map[string]string{"requirepass": world.RedisPassword}
			before, after := world.StartRedis(t, settings), world.StartRedis(t, settings)
			name := newName(t, before.Addr())
			l := open(t, redis.Options{URL: "redis://default:" + world.RedisPassword + "@" + name.addr}).Layer
			up(t, l)
			member := join(t, l, "chat_1_1")

			addr := after.Addr()
			name.target.Store(&addr)
			world.RedisDirect(t, before.URL(), func(ctx context.Context, node *goredis.Client) {
				if err := node.ClientKillByFilter(ctx, "TYPE", moved, "SKIPME", "yes").Err(); err != nil {
					t.Fatal(err)
				}
			})
			member.toldMissed(t)
			hears(t, l, member, "chat_1_1")
			up(t, l)
		})
	}
}

// A movable name: connections go where it points when they are made, and stay.
type movableName struct {
	addr   string
	target atomic.Pointer[string]
}

func newName(t *testing.T, target string) *movableName {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	if err != nil {
		t.Fatal(err)
	}
	n := &movableName{addr: l.Addr().String()}
	n.target.Store(&target)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer client.Close()
				server, err := net.Dial("tcp", *n.target.Load()) //nolint:noctx // a test's
				if err != nil {
					return
				}
				defer server.Close()
				all.Go(func() {
					_, _ = io.Copy(server, client)
					_ = server.Close()
				})
				_, _ = io.Copy(client, server)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait() // its connections end with the layers, which are closed before
	})
	return n
}
