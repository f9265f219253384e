package sandbox_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

func redisClient(t *testing.T, r *sandbox.Redis) *goredis.Client {
	t.Helper()
	options, err := goredis.ParseURL(r.URL())
	if err != nil {
		t.Fatal(err)
	}
	options.ContextTimeoutEnabled = true
	client := goredis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestRedisFindsItsDataAgain(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(scratch(t), "redis with blanks")
	first := startRedis(t, dir, nil)
	if err := redisClient(t, first).Set(limited(t), "word", "kept", 0).Err(); err != nil {
		t.Fatal(err)
	}
	stop(t, first.Stop)
	second := startRedis(t, dir, nil)
	if word, err := redisClient(t, second).Get(limited(t), "word").Result(); err != nil || word != "kept" {
		t.Errorf("word = %q, %v; want it kept", word, err)
	}
	for _, name := range []string{"password", "redis.conf"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", name, info, err)
		}
	}
}

func TestKilledRedisRestartsAtOnce(t *testing.T) {
	t.Parallel()
	r := startRedis(t, filepath.Join(scratch(t), "redis"), sandbox.RedisTestSettings())
	client, addr := redisClient(t, r), r.Addr()
	if err := client.Set(limited(t), "word", "lost", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := r.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := client.Ping(limited(t)).Err(); err == nil {
		t.Error("a killed server answered")
	}
	if err := r.Restart(limited(t)); err != nil {
		t.Fatal(err)
	}
	if r.Addr() != addr {
		t.Errorf("restarted at %s, want %s", r.Addr(), addr)
	}
	if err := client.Get(limited(t), "word").Err(); !errors.Is(err, goredis.Nil) {
		t.Errorf("word: %v, want it forgotten by a server that keeps nothing", err)
	}
}

func TestAReplicaOfRedisIsPromoted(t *testing.T) {
	t.Parallel()
	dir := scratch(t)
	master := startRedis(t, filepath.Join(dir, "master"), sandbox.RedisTestSettings())
	if err := redisClient(t, master).Set(limited(t), "word", "kept", 0).Err(); err != nil {
		t.Fatal(err)
	}
	replica, err := sandbox.StartRedisReplica(limited(t), master, sandbox.RedisOptions{Dir: filepath.Join(dir, "replica"), Settings: sandbox.RedisTestSettings()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, replica.Stop) })
	client := redisClient(t, replica)
	if err := client.Set(limited(t), "word", "lost", 0).Err(); err == nil {
		t.Error("a replica takes writes")
	}
	if err := master.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := replica.Promote(limited(t)); err != nil {
		t.Fatal(err)
	}
	if word, err := client.Append(limited(t), "word", " and written").Result(); err != nil || word != int64(len("kept and written")) {
		t.Errorf("%d bytes, %v", word, err)
	}
}

func TestPausedRedisAnswersNobody(t *testing.T) {
	t.Parallel()
	r := startRedis(t, filepath.Join(scratch(t), "redis"), sandbox.RedisTestSettings())
	client := redisClient(t, r)
	if err := client.Ping(limited(t)).Err(); err != nil {
		t.Fatal(err)
	}
	if err := r.Pause(); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := client.Ping(short).Err(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("paused server: %v, want silence", err)
	}
	if err := r.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := client.Ping(limited(t)).Err(); err != nil {
		t.Errorf("resumed server: %v", err)
	}
	if err := r.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := r.Kill(); err != nil { // a paused server can be killed
		t.Fatal(err)
	}
}

func TestRedisTakesSettings(t *testing.T) {
	t.Parallel()
	r := startRedis(t, filepath.Join(scratch(t), "redis"), map[string]string{
		"save": "", "client-output-buffer-limit": "pubsub 2mb 1mb 7", "requirepass": "chosen",
	})
	client := redisClient(t, r)
	got, err := client.ConfigGet(limited(t), "client-output-buffer-limit").Result()
	if err != nil || !strings.HasSuffix(got["client-output-buffer-limit"], "pubsub 2097152 1048576 7") {
		t.Errorf("client-output-buffer-limit = %q, %v", got, err)
	}
	if !strings.Contains(r.URL(), ":chosen@") {
		t.Errorf("URL = %s, want the given password", r.URL())
	}
	if id := client.Options().Username; id != "default" {
		t.Errorf("user = %q", id)
	}
}

func TestSettingThatRedisRefusesIsTold(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{"no-such-setting": "1", "two": "lines\nlines"} {
		_, err := sandbox.StartRedis(limited(t), sandbox.RedisOptions{
			Dir: filepath.Join(scratch(t), "redis"), Settings: map[string]string{name: value},
		})
		if err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error = %v, want one line with the complaint", err)
		}
	}
}

func TestTakenPortIsTold(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, text, _ := net.SplitHostPort(taken.Addr().String())
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	_, errRedis := sandbox.StartRedis(limited(t), sandbox.RedisOptions{Dir: filepath.Join(scratch(t), "redis"), Port: port})
	_, errPostgres := sandbox.StartPostgres(limited(t), sandbox.PostgresOptions{
		Dir: filepath.Join(scratch(t), "pg"), Port: port, QuickInit: true,
	})
	for _, err := range []error{errRedis, errPostgres} {
		if err == nil || !strings.Contains(err.Error(), "the port is taken") {
			t.Errorf("start at a taken port: %v", err)
		}
	}
}
