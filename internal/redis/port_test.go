package redis_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/certs"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// expectCause fails unless the error of a PING has a cause with a cure, and a text with words.
func expectCause(t *testing.T, o redis.Options, word string, words ...string) {
	t.Helper()
	c := open(t, o)
	err := c.Ping(t.Context())
	if cause.Of(err) != word || cause.Cure(word) == "" {
		t.Errorf("want %s: %v (%s)", word, err, cause.Of(err))
	}
	for _, w := range words {
		if !strings.Contains(fmt.Sprint(err), w) {
			t.Errorf("%s: want %q in %v", word, w, err)
		}
	}
	t.Log(err)
	if again := c.Ping(t.Context()); cause.Of(again) != word || strings.Contains(again.Error(), world.RedisPassword) {
		t.Errorf("the second time: %v (%s)", again, cause.Of(again))
	}
}

func TestTheOtherProtocolOnThePortIsNamed(t *testing.T) {
	t.Parallel()
	plain := world.StartRedis(t, map[string]string{"requirepass": world.RedisPassword})
	authority := world.NewAuthority(t, "faults test CA")
	certificate := authority.Issue(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "localhost")
	front := "localhost:" + world.TLSFront(t, plain.Addr(), false, func() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{certificate}} })
	picky := "localhost:" + world.TLSFront(t, plain.Addr(), false, func() *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequireAnyClientCert}
	})
	credentials := "default:" + world.RedisPassword + "@"
	ca := certs.Files{CA: authority.File(t)}
	expectCause(t, redis.Options{URL: "redis://" + credentials + front}, "redis_tls_wanted", "speaks TLS")
	expectCause(t, redis.Options{URL: "rediss://" + credentials + plain.Addr()}, "redis_no_tls", "without TLS")
	expectCause(t, redis.Options{URL: "rediss://" + credentials + front}, "redis_unknown_ca", "faults test CA")
	expectCause(t, redis.Options{URL: "rediss://" + credentials + strings.Replace(front, "localhost", "127.0.0.1", 1), TLS: ca}, "redis_tls", "127.0.0.1")
	expectCause(t, redis.Options{URL: "rediss://" + credentials + picky, TLS: ca}, "redis_client_certificate", "certificate required")
	if err := open(t, redis.Options{URL: "rediss://" + credentials + front, TLS: ca}).Ping(t.Context()); err != nil {
		t.Errorf("with the authority: %v", err)
	}
}

func TestSomethingElseOnThePortIsNamed(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	expectCause(t, redis.Options{URL: "redis://" + web.Listener.Addr().String()}, "redis_not_redis", "HTTP")
	expectCause(t, redis.Options{URL: "redis://" + world.Host(t, world.Database(t, nil))}, "redis_not_redis", "Postgres")
}

// TestProtectedMode lets a listener play the Redis, since a real one takes connections from its
// own machine.
func TestProtectedMode(t *testing.T) {
	t.Parallel()
	address := answers(t, "-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user.\r\n")
	expectCause(t, redis.Options{URL: "redis://" + address}, "redis_protected_mode", "DENIED Redis is running in protected mode")
}

// answers returns the address of a listener that says a text to everybody and hangs up.
func answers(t *testing.T, text string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte(text))
			_ = conn.Close()
		}
	})
	t.Cleanup(serving.Wait)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

func TestADatabaseThatDoesNotExist(t *testing.T) {
	t.Parallel()
	url := strings.TrimSuffix(world.StartRedis(t).URL(), "/0")
	expectCause(t, redis.Options{URL: url + "/99"}, "redis_no_such_database", "no database 99", "this Redis has 16")
}

func TestModesThatDoNotFitTheServer(t *testing.T) {
	t.Parallel()
	url := world.StartRedis(t).URL()
	expectCause(t, redis.Options{URL: url, Mode: "sentinel", MasterName: "m"}, "redis_not_sentinel", "unknown command")
	expectCause(t, redis.Options{URL: url, Mode: "cluster"}, "redis_not_cluster")
	o := world.RedisSentinel(t).Options
	o.MasterName = "another"
	expectCause(t, o, "redis_no_such_master")
}

// TestARedisThatRefusesWrites breaks a real Redis in ways that only a write shows.
func TestARedisThatRefusesWrites(t *testing.T) {
	t.Parallel()
	for word, prepare := range map[string]func(ctx context.Context, t *testing.T, dir string, admin *goredis.Client){
		"redis_cannot_save": func(ctx context.Context, t *testing.T, dir string, admin *goredis.Client) {
			t.Helper()
			// A directory in the place of the file cannot be written, even by root.
			if err := os.MkdirAll(filepath.Join(dir, "dump.rdb", "x"), 0o700); err != nil {
				t.Fatal(err)
			}
			admin.ConfigSet(ctx, "save", "3600 1")
			admin.BgSave(ctx)
			world.Eventually(t, "the save has failed", func() (bool, any) {
				info := admin.Info(ctx, "persistence").Val()
				return strings.Contains(info, "rdb_last_bgsave_status:err"), info
			})
		},
		"redis_no_replicas": func(ctx context.Context, t *testing.T, _ string, admin *goredis.Client) {
			t.Helper()
			admin.ConfigSet(ctx, "min-replicas-to-write", "1")
		},
	} {
		t.Run(word, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			server := world.StartRedis(t, map[string]string{"dir": `"` + dir + `"`})
			world.RedisDirect(t, server.URL(), func(ctx context.Context, admin *goredis.Client) { prepare(ctx, t, dir, admin) })
			t.Cleanup(func() { // it saves before it ends
				world.RedisDirect(t, server.URL(), func(ctx context.Context, admin *goredis.Client) { admin.ConfigSet(ctx, "save", "") })
			})
			c := open(t, redis.Options{URL: server.URL(), Timeout: world.Limit})
			if err := c.CheckWrite(t.Context()); cause.Of(err) != word || cause.Cure(word) == "" {
				t.Errorf("%v (%s)", err, cause.Of(err))
			}
		})
	}
}
