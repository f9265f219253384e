package world

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

// RedisCluster starts a Redis Cluster of three masters.
func RedisCluster(t testing.TB) *RedisServers {
	t.Helper()
	return startCluster(t, "5000")
}

// RedisPlainCluster starts a Redis Cluster of three masters whose ACL refuses sharded Pub/Sub.
func RedisPlainCluster(t testing.TB) *RedisServers {
	t.Helper()
	s := RedisCluster(t)
	s.Each(t, func(ctx context.Context, node *goredis.Client) {
		if err := node.Do(ctx, "ACL", "SETUSER", "default", "-spublish", "-ssubscribe", "-sunsubscribe").Err(); err != nil {
			t.Fatal(err)
		}
	})
	return s
}

// RedisReplicatedCluster starts a Redis Cluster of three masters with a replica each, which takes
// over two seconds after its master has died.
func RedisReplicatedCluster(t testing.TB) *RedisServers {
	t.Helper()
	s := startCluster(t, "2000")
	for _, master := range s.Nodes[:3] {
		replica := startClusterNode(t, "2000")
		s.Nodes = append(s.Nodes, replica)
		host, port, _ := net.SplitHostPort(master.Addr())
		id := s.id(t, master)
		RedisDirect(t, replica.URL(), func(ctx context.Context, node *goredis.Client) {
			if err := node.ClusterMeet(ctx, host, port).Err(); err != nil {
				t.Fatal(err)
			}
			Eventually(t, "the replica knows its master", func() (bool, any) {
				err := node.ClusterReplicate(ctx, id).Err()
				return err == nil, err
			})
		})
	}
	Eventually(t, "every node knows all replicas, and these follow", func() (bool, any) {
		seen := ""
		ready := s.Sum(t, func(ctx context.Context, node *goredis.Client) int {
			slots, err := node.ClusterSlots(ctx).Result()
			info := node.Info(ctx, "replication").Val()
			seen += fmt.Sprintln(slots, err, info)
			for _, of := range slots {
				if len(of.Nodes) != 2 {
					return 0
				}
			}
			if len(slots) == 3 && !strings.Contains(info, "master_link_status:down") {
				return 1
			}
			return 0
		})
		return ready == len(s.Nodes), seen
	})
	return s
}

func startClusterNode(t testing.TB, timeout string) *sandbox.Redis {
	t.Helper()
	return StartRedis(t, map[string]string{
		"requirepass": RedisPassword, "masterauth": RedisPassword, "cluster-enabled": "yes", "cluster-node-timeout": timeout,
		"repl-diskless-sync-delay": "0",
	})
}

// startCluster starts three masters. timeout is the time in milliseconds after which a node that does
// not answer counts as dead.
func startCluster(t testing.TB, timeout string) *RedisServers {
	t.Helper()
	s := &RedisServers{}
	var addrs []string
	for range 3 {
		server := startClusterNode(t, timeout)
		s.Nodes, addrs = append(s.Nodes, server), append(addrs, server.Addr())
	}
	s.Options = patient(redis.Options{URL: "redis://default:" + RedisPassword + "@" + strings.Join(addrs, ","), Mode: "cluster"})
	for i, n := range s.Nodes {
		RedisDirect(t, n.URL(), func(ctx context.Context, node *goredis.Client) {
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
	Eventually(t, "the cluster is up", func() (bool, any) {
		seen := ""
		agreed := s.Sum(t, func(ctx context.Context, node *goredis.Client) int {
			slots, err := node.ClusterSlots(ctx).Result()
			info := node.ClusterInfo(ctx).Val()
			seen += fmt.Sprintln(len(slots), err, info)
			if len(slots) == len(s.Nodes) && strings.Contains(info, "cluster_state:ok") {
				return 1
			}
			return 0
		})
		return agreed == len(s.Nodes), seen
	})
	return s
}
