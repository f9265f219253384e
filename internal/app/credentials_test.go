package app_test

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// credentials are files with the URLs of both stores, whose user has the password last set.
type credentials struct {
	w                         *world.World
	admin                     *goredis.Client
	role                      string
	database, redis, opsToken string // paths
	databaseURL, redisURL     string // with the user in place of the superuser
}

func newCredentials(t *testing.T) *credentials {
	t.Helper()
	w := world.New(t, world.OwnRedis)
	dir := t.TempDir()
	c := &credentials{w: w, admin: w.RedisClient(t), role: "rotated_" + strings.ToLower(filepath.Base(filepath.Dir(dir)))}
	c.role = strings.Map(func(r rune) rune {
		if r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, c.role)
	c.database, c.redis, c.opsToken = filepath.Join(dir, "database"), filepath.Join(dir, "redis"), filepath.Join(dir, "ops")
	w.Exec(t, "CREATE ROLE "+c.role+" SUPERUSER LOGIN")
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.WithoutCancel(t.Context()), w.DatabaseURL)
		if err == nil {
			_, _ = conn.Exec(context.WithoutCancel(t.Context()), "DROP ROLE "+c.role)
			_ = conn.Close(context.WithoutCancel(t.Context()))
		}
	})
	return c
}

// setPassword changes the password in both stores.
func (c *credentials) setPassword(t *testing.T, password string) {
	t.Helper()
	c.w.Exec(t, "ALTER ROLE "+c.role+" PASSWORD '"+password+"'")
	if err := c.admin.Do(t.Context(), "ACL", "SETUSER", "rotated", "on", "resetpass", ">"+password, "~*", "&*", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	with := func(raw, user string) string {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword(user, password)
		return u.String()
	}
	c.databaseURL, c.redisURL = with(c.w.DatabaseURL, c.role), with(c.w.RedisURL, "rotated")
}

// write writes the files.
func (c *credentials) write(t *testing.T, database, redis, opsToken string) {
	t.Helper()
	for path, text := range map[string]string{c.database: database, c.redis: redis, c.opsToken: opsToken} {
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// endConnections ends the connections of the replicas.
func (c *credentials) endConnections(t *testing.T) {
	t.Helper()
	c.w.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '"+c.role+"'")
	if err := c.admin.Do(t.Context(), "CLIENT", "KILL", "USER", "rotated").Err(); err != nil {
		t.Fatal(err)
	}
}

func TestCredentialsOfTheStoresRotate(t *testing.T) {
	t.Parallel()
	c := newCredentials(t)
	const first, second = "first-password-4711", "second-password-4712"
	c.setPassword(t, first)
	c.write(t, c.databaseURL, c.redisURL, "the first ops token")
	w := *c.w
	w.DatabaseURL, w.RedisURL = c.databaseURL, c.redisURL
	r := w.Start(t, "a", func(o *app.Options) {
		o.OpsToken = "the first ops token"
		o.SecretFiles = map[string]string{"database-url": c.database, "redis-url": c.redis, "ops-token": c.opsToken}
	})
	r.WaitReady(t)
	s := r.Chat(t, world.Customer)

	c.write(t, "postgres://broken@host:none", "redis://%zz", "short")
	world.Eventually(t, "all three files are refused", func() (bool, any) {
		return strings.Count(r.Log.String(), "Reload failed") == 3 && r.Metric(t, "roomspa_secret_file_stale") == 3, r.Log.String()
	})
	c.write(t, strings.Replace(c.databaseURL, "127.0.0.1", "localhost", 1), "redis://localhost:1/0", "short")
	world.Eventually(t, "URLs of other servers are refused", func() (bool, any) {
		return strings.Count(r.Log.String(), "needs a restart") == 2, r.Log.String()
	})
	c.endConnections(t)
	s.Deliver(t, "with the former passwords", "1")

	c.setPassword(t, second)
	c.write(t, c.databaseURL, c.redisURL, "the second ops token")
	world.Eventually(t, "the files are read again", func() (bool, any) {
		return strings.Count(r.Log.String(), "was read again: ") == 3 && r.Metric(t, "roomspa_secret_file_stale") == 0, r.Log.String()
	})
	c.endConnections(t)
	s.Deliver(t, "with the new passwords", "2")
	world.Eventually(t, "the replica is ready", func() (bool, any) {
		status, answer := r.Readyz(t)
		return status == http.StatusOK, answer
	})
	r.Chat(t, world.Therapist)
	for token, want := range map[string]int{"the first ops token": http.StatusUnauthorized, "the second ops token": http.StatusOK} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.Ops("/debug/pprof/"), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("/debug/ with %q: %d", token, res.StatusCode)
		}
	}
	for _, secret := range []string{first, second, "ops token\""} {
		if strings.Contains(r.Log.String(), secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}
