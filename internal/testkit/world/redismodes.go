package world

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

// RedisStandalone starts one server.
func RedisStandalone(t testing.TB) *RedisServers {
	t.Helper()
	server := StartRedis(t, map[string]string{"requirepass": RedisPassword})
	return &RedisServers{patient(redis.Options{URL: server.URL()}), []*sandbox.Redis{server}}
}

// RedisSentinel starts a master, a replica of it, and one sentinel that decides alone.
func RedisSentinel(t testing.TB) *RedisServers {
	t.Helper()
	settings := map[string]string{"requirepass": RedisPassword, "masterauth": RedisPassword, "repl-diskless-sync-delay": "0"}
	master := StartRedis(t, settings)
	host, port, _ := net.SplitHostPort(master.Addr())
	settings["replicaof"] = host + " " + port
	replica := StartRedis(t, settings)
	addr := startSentinel(t, master, []string{
		"sentinel monitor roomspa " + host + " " + port + " 1",
		"sentinel auth-pass roomspa " + RedisPassword,
		"sentinel down-after-milliseconds roomspa 1000",
		"sentinel failover-timeout roomspa 3000",
	})
	Eventually(t, "the replica follows its master", func() (ok bool, seen any) {
		RedisDirect(t, "redis://"+addr, func(ctx context.Context, s *goredis.Client) {
			replicas, err := s.Do(ctx, "SENTINEL", "REPLICAS", "roomspa").Slice()
			text := fmt.Sprint(replicas, err)
			ok = strings.Contains(text, "master-link-status ok") || strings.Contains(text, "master-link-status:ok")
			seen = text
		})
		return ok, seen
	})
	return &RedisServers{patient(redis.Options{
		URL: "redis://default:" + RedisPassword + "@" + addr, Mode: "sentinel", MasterName: "roomspa",
	}), []*sandbox.Redis{master, replica}}
}

// startSentinel runs a sentinel of the same build as the server, and returns its address.
func startSentinel(t testing.TB, server *sandbox.Redis, conf []string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // returns at once
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	_ = l.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "sentinel.conf") // the sentinel writes to it
	conf = append(conf, "port "+port, "bind 127.0.0.1", "dir "+dir, "protected-mode no", `logfile ""`)
	if err := os.WriteFile(file, []byte(strings.Join(conf, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := server.Beside(file, "--sentinel")
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	Eventually(t, "the sentinel answers", func() (bool, any) {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil, err
	})
	return addr
}
