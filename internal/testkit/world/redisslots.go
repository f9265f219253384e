package world

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
	"github.com/roomspa/roomspa/internal/testkit/netfault"
	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

func (s *RedisServers) id(t testing.TB, n *sandbox.Redis) (id string) {
	t.Helper()
	RedisDirect(t, n.URL(), func(ctx context.Context, node *goredis.Client) { id = node.ClusterMyID(ctx).Val() })
	return id
}

// slot returns the slot of the hash tag of a group.
func (s *RedisServers) slot(t testing.TB, group string) (slot int) {
	t.Helper()
	RedisDirect(t, s.Nodes[0].URL(), func(ctx context.Context, node *goredis.Client) {
		slot = int(node.ClusterKeySlot(ctx, redis.Name(s.Options.Prefix, Deployment.ID, group)).Val())
	})
	return slot
}

// Master returns the master that serves a group, and a replica of it if there is one.
func (s *RedisServers) Master(t testing.TB, group string) (master, replica *sandbox.Redis) {
	t.Helper()
	slot := s.slot(t, group)
	Eventually(t, "a living node knows the master", func() (bool, any) {
		for _, n := range s.Nodes {
			if conn, err := net.Dial("tcp", n.Addr()); err == nil { //nolint:noctx // on this machine
				_ = conn.Close()
			} else {
				continue
			}
			var owners []goredis.ClusterNode
			RedisDirect(t, n.URL(), func(ctx context.Context, node *goredis.Client) {
				for _, of := range node.ClusterSlots(ctx).Val() {
					if of.Start <= slot && slot <= of.End {
						owners = of.Nodes
					}
				}
			})
			for i, o := range owners {
				for _, n := range s.Nodes {
					if strings.HasSuffix(n.Addr(), o.Addr[strings.LastIndexByte(o.Addr, ':'):]) {
						if i == 0 {
							master = n
						} else {
							replica = n
						}
					}
				}
			}
			if master != nil {
				return true, nil
			}
		}
		return false, nil
	})
	return master, replica
}

// MoveSlot moves the slot of a group to another master, with its keys.
func (s *RedisServers) MoveSlot(t testing.TB, group string) {
	t.Helper()
	from, _ := s.Master(t, group)
	to := s.Nodes[0]
	if to == from {
		to = s.Nodes[1]
	}
	slot, fromID, toID := s.slot(t, group), s.id(t, from), s.id(t, to)
	do := func(n *sandbox.Redis, args ...any) {
		t.Helper()
		RedisDirect(t, n.URL(), func(ctx context.Context, node *goredis.Client) {
			if err := node.Do(ctx, args...).Err(); err != nil {
				t.Fatalf("%v: %v", args, err)
			}
		})
	}
	do(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", fromID)
	do(from, "CLUSTER", "SETSLOT", slot, "MIGRATING", toID)
	host, port, _ := net.SplitHostPort(to.Addr())
	RedisDirect(t, from.URL(), func(ctx context.Context, node *goredis.Client) {
		for {
			keys := node.ClusterGetKeysInSlot(ctx, slot, 100).Val()
			if len(keys) == 0 {
				return
			}
			args := []any{"MIGRATE", host, port, "", 0, 5000, "AUTH", RedisPassword, "KEYS"}
			for _, k := range keys {
				args = append(args, k)
			}
			if err := node.Do(ctx, args...).Err(); err != nil {
				t.Fatal(err)
			}
		}
	})
	for _, n := range append([]*sandbox.Redis{to, from}, s.Nodes...) {
		RedisDirect(t, n.URL(), func(ctx context.Context, node *goredis.Client) {
			_ = node.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", toID).Err() // a replica learns it from others
		})
	}
}

// Front puts a proxy in front of each node, and makes the nodes announce them. Clients with the
// Options that it returns use the proxies alone, which are in the order of Nodes.
func (s *RedisServers) Front(t testing.TB, o redis.Options) (fronted redis.Options, proxies []*netfault.Proxy) {
	t.Helper()
	var addrs []string
	for _, n := range s.Nodes {
		p, err := netfault.ListenRedis(n.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		_, port, _ := net.SplitHostPort(n.Addr())
		_, announced, _ := net.SplitHostPort(p.Addr())
		real, _ := strconv.Atoi(port)
		RedisDirect(t, n.URL(), func(ctx context.Context, node *goredis.Client) {
			for _, c := range [][2]string{{"cluster-announce-bus-port", strconv.Itoa(real + 10000)}, {"cluster-announce-port", announced}} {
				if err := node.ConfigSet(ctx, c[0], c[1]).Err(); err != nil {
					t.Fatal(err)
				}
			}
		})
		proxies, addrs = append(proxies, p), append(addrs, p.Addr())
	}
	o.URL = "redis://default:" + RedisPassword + "@" + strings.Join(addrs, ",")
	Eventually(t, "every node announces the proxies", func() (bool, any) {
		seen := ""
		s.Each(t, func(ctx context.Context, node *goredis.Client) { seen += fmt.Sprintln(node.ClusterSlots(ctx).Val()) })
		for _, addr := range addrs {
			if strings.Count(seen, addr[strings.LastIndexByte(addr, ':'):]) < len(s.Nodes) {
				return false, seen
			}
		}
		return true, nil
	})
	return o, proxies
}

// Failover makes the replica of a group's master take over, and waits until it has, and the old
// master follows.
func (s *RedisServers) Failover(t testing.TB, group string) {
	t.Helper()
	master, replica := s.Master(t, group)
	var asked time.Time
	Eventually(t, "the two have changed places", func() (bool, any) {
		if time.Since(asked) > 6*time.Second { // it ends after 5 s if the masters do not vote, as soon after another one
			asked = time.Now()
			RedisDirect(t, replica.URL(), func(ctx context.Context, node *goredis.Client) { _ = node.ClusterFailover(ctx).Err() })
		}
		now, follows := s.Master(t, group)
		return now == replica && follows == master, nil
	})
}

// KillMaster kills the master of a group, and waits until its replica has taken over. It returns the
// killed server.
func (s *RedisServers) KillMaster(t testing.TB, group string) *sandbox.Redis {
	t.Helper()
	master, replica := s.Master(t, group)
	if err := master.Kill(); err != nil {
		t.Fatal(err)
	}
	Eventually(t, "the replica has taken over", func() (bool, any) {
		now, _ := s.Master(t, group)
		return now == replica, nil
	})
	return master
}
