package redis_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/testkit/sandbox/sandboxtest"
)

func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	p := sentinel(t)
	a, b := open(t, p.options), open(t, p.options)
	up(t, a.Layer, b.Layer)
	member := join(t, a.Layer, "chat_1_1")
	if err := p.nodes[0].Kill(); err != nil {
		t.Fatal(err)
	}
	member.toldMissed(t, 30*time.Second)
	up(t, a.Layer, b.Layer)
	hears(t, b.Layer, member, "chat_1_1")
}

// A master that is asked to step down keeps its connections for a moment, and
// goes on as a replica, to which one can publish in vain.
func TestSentinelSwitchover(t *testing.T) {
	t.Parallel()
	p := sentinel(t)
	a, b := open(t, p.options), open(t, p.options)
	up(t, a.Layer, b.Layer)
	member := join(t, a.Layer, "chat_1_1")
	direct(t, "redis://"+p.options.URL[strings.LastIndexByte(p.options.URL, '@')+1:], func(ctx context.Context, s *goredis.Client) {
		if err := s.Do(ctx, "SENTINEL", "FAILOVER", "roomspa").Err(); err != nil {
			t.Fatal(err)
		}
	})
	member.toldMissed(t, 30*time.Second)
	up(t, a.Layer, b.Layer)
	hears(t, b.Layer, member, "chat_1_1")
}

// One master of three dies: the layer goes on through the others.
func TestClusterLosesAMaster(t *testing.T) {
	t.Parallel()
	for dead := range 3 {
		t.Run(itoa(dead), func(t *testing.T) {
			t.Parallel()
			p := cluster(t)
			a, b := open(t, p.options), open(t, p.options)
			up(t, a.Layer, b.Layer)
			member := join(t, a.Layer, "chat_1_1")
			if err := p.nodes[dead].Kill(); err != nil {
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
			settings := map[string]string{"requirepass": secret}
			before, after := sandboxtest.OwnRedis(t, settings), sandboxtest.OwnRedis(t, settings)
			name := newName(t, before.Addr())
			l := open(t, redis.Options{URL: "redis://default:" + secret + "@" + name.addr}).Layer
			up(t, l)
			member := join(t, l, "chat_1_1")

			addr := after.Addr()
			name.target.Store(&addr)
			direct(t, before.URL(), func(ctx context.Context, node *goredis.Client) {
				if err := node.ClientKillByFilter(ctx, "TYPE", moved, "SKIPME", "yes").Err(); err != nil {
					t.Fatal(err)
				}
			})
			member.toldMissed(t, 10*time.Second)
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
