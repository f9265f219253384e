package diagnose_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/testkit/sandbox"
	"github.com/roomspa/roomspa/internal/testkit/sandbox/sandboxtest"
	"github.com/roomspa/roomspa/internal/tool/diagnose"
)

func ownRedis(t testing.TB, settings ...map[string]string) *sandbox.Redis {
	t.Helper()
	return sandboxtest.OwnRedis(t, settings...)
}

// tell tells a Redis something.
func tell(t testing.TB, redisURL string, args ...any) {
	t.Helper()
	o, err := goredis.ParseURL(redisURL)
	if err != nil {
		t.Fatal(err)
	}
	c := goredis.NewClient(o)
	defer c.Close() //nolint:errcheck // nothing is lost with it
	if err := c.Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
}

// inRedis is what is wrong with Redis.
func inRedis() []broken {
	// begun starts a replica with a Redis that is broken already.
	begun := func(prepare func(t *testing.T, r *sandbox.Redis) string) func(*testing.T, *app.App) diagnose.Options {
		return func(t *testing.T, _ *app.App) diagnose.Options {
			w := newWorld(t)
			w.redisURL = prepare(t, ownRedis(t))
			a := w.start(t, "a")
			unready(t, a)
			return looking(t, a.Addr(), a)
		}
	}
	// later breaks it under a replica that is ready.
	later := func(breakIt func(t *testing.T, r *sandbox.Redis)) func(*testing.T, *app.App) diagnose.Options {
		return func(t *testing.T, _ *app.App) diagnose.Options {
			w, r := newWorld(t), ownRedis(t)
			w.redisURL = r.URL()
			a := w.ready(t, "a")
			breakIt(t, r)
			unready(t, a)
			return looking(t, a.Addr(), a)
		}
	}
	return []broken{
		{"Redis is not there", "redis_refused", "", later(func(t *testing.T, r *sandbox.Redis) {
			if err := r.Kill(); err != nil {
				t.Fatal(err)
			}
		})},
		{"the password of Redis is wrong", "redis_wrong_password", "", begun(func(t *testing.T, r *sandbox.Redis) string {
			return withURL(t, r.URL(), func(u *url.URL) { u.User = url.UserPassword("", "wrong") })
		})},
		{"Redis forbids SUBSCRIBE", "redis_subscribe_forbidden", "", begun(func(t *testing.T, r *sandbox.Redis) string {
			tell(t, r.URL(), "ACL", "SETUSER", "replica", "on", ">pass", "~*", "&*", "+@all", "-subscribe", "-ssubscribe")
			return withURL(t, r.URL(), func(u *url.URL) { u.User = url.UserPassword("replica", "pass") })
		})},
		{"Redis is stalled", "redis_stalled", "", later(func(t *testing.T, r *sandbox.Redis) {
			if err := r.Pause(); err != nil {
				t.Fatal(err)
			}
		})},
		{"Redis has no client left", "redis_max_clients", "", func(t *testing.T, _ *app.App) diagnose.Options {
			w, r := newWorld(t), ownRedis(t, map[string]string{"maxclients": "1"})
			w.redisURL = r.URL()
			o, err := goredis.ParseURL(r.URL())
			if err != nil {
				t.Fatal(err)
			}
			c := goredis.NewClient(o)
			t.Cleanup(func() { _ = c.Close() })
			if err := c.Ping(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			a := w.start(t, "a")
			unready(t, a)
			return looking(t, a.Addr(), a)
		}},
		{"Redis is a read-only replica", "redis_read_only", "", func(t *testing.T, _ *app.App) diagnose.Options {
			w, master, r := newWorld(t), ownRedis(t), ownRedis(t)
			w.redisURL = r.URL()
			a := w.ready(t, "a")
			u := mustParse(t, master.URL())
			secret, _ := u.User.Password()
			tell(t, r.URL(), "CONFIG", "SET", "masterauth", secret)
			tell(t, r.URL(), "REPLICAOF", u.Hostname(), u.Port())
			return looking(t, a.Addr(), a)
		}},
		{"Redis has no memory left", "redis_out_of_memory", "", func(t *testing.T, _ *app.App) diagnose.Options {
			w, r := newWorld(t), ownRedis(t)
			w.redisURL = r.URL()
			a := w.ready(t, "a")
			tell(t, r.URL(), "CONFIG", "SET", "maxmemory-policy", "noeviction")
			tell(t, r.URL(), "CONFIG", "SET", "maxmemory", "1")
			return looking(t, a.Addr(), a)
		}},
	}
}

// inPostgres is what is wrong with Postgres.
func inPostgres() []broken {
	// begun starts a replica with a database that is broken already.
	begun := func(prepare func(t *testing.T, databaseURL string) string, edit ...func(*app.Options)) func(*testing.T, *app.App) diagnose.Options {
		return func(t *testing.T, _ *app.App) diagnose.Options {
			w := newWorld(t)
			w.databaseURL = prepare(t, w.databaseURL)
			a := w.start(t, "a", edit...)
			unready(t, a)
			return looking(t, a.Addr(), a)
		}
	}
	sql := func(statements string) func(*testing.T, string) string {
		return func(t *testing.T, databaseURL string) string {
			execute(t, databaseURL, statements)
			return databaseURL
		}
	}
	// silent breaks what readiness does not look at.
	silent := func(breakIt func(t *testing.T, databaseURL string), edit ...func(*app.Options)) func(*testing.T, *app.App) diagnose.Options {
		return func(t *testing.T, _ *app.App) diagnose.Options {
			w := newWorld(t)
			a := w.ready(t, "a", edit...)
			breakIt(t, w.databaseURL)
			return looking(t, a.Addr(), a)
		}
	}
	return []broken{
		{"Postgres is not there", "postgres_refused", "", begun(func(t *testing.T, u string) string {
			return withURL(t, u, func(u *url.URL) { u.Host = closedPort(t) })
		})},
		{"the password of Postgres is wrong", "postgres_wrong_password", "", begun(func(t *testing.T, u string) string {
			return withURL(t, u, func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), "wrong") })
		})},
		{"Postgres has no connection left", "postgres_too_many_connections", "", begun(func(t *testing.T, databaseURL string) string {
			role := "poor_" + strings.TrimPrefix(mustParse(t, databaseURL).Path, "/")
			execute(t, databaseURL, "CREATE ROLE "+role+" LOGIN PASSWORD 'pass' CONNECTION LIMIT 0")
			t.Cleanup(func() {
				conn, err := pgx.Connect(context.WithoutCancel(t.Context()), databaseURL)
				if err != nil {
					t.Fatal(err)
				}
				_, err = conn.Exec(context.WithoutCancel(t.Context()), "DROP ROLE "+role)
				_ = conn.Close(context.WithoutCancel(t.Context()))
				if err != nil {
					t.Error(err)
				}
			})
			return withURL(t, databaseURL, func(u *url.URL) { u.User = url.UserPassword(role, "pass") })
		})},
		{"there is no schema", "schema_missing", "", begun(func(t *testing.T, _ string) string { return sandboxtest.Database(t, nil) })},
		{"the schema is too old", "schema_too_old", "", begun(func(t *testing.T, u string) string {
			if _, err := postgres.MigrateDown(t.Context(), postgres.Options{URL: u}, slog.New(slog.DiscardHandler)); err != nil {
				t.Fatal(err)
			}
			return u
		})},
		{"the schema is too new", "schema_too_new", "", begun(sql("INSERT INTO roomspa.goose_db_version (version_id, is_applied) VALUES (99, true); UPDATE roomspa.compatibility SET oldest_served = 98"))},
		{"Postgres is read-only", "postgres_read_only", "", begun(func(t *testing.T, u string) string {
			execute(t, u, fmt.Sprintf("ALTER DATABASE %s SET default_transaction_read_only = on", strings.TrimPrefix(mustParse(t, u).Path, "/")))
			return u
		})},
		{"a table is locked", "postgres_locked", "", silent(locked)},
		{"a statement takes too long", "postgres_statement_timeout", "", silent(locked, func(o *app.Options) {
			o.DatabaseLockTimeout, o.DatabaseStatementTimeout = 10*time.Second, 500*time.Millisecond
		})},
		{"the disk of Postgres is full", "postgres_disk_full", "", silent(func(t *testing.T, u string) {
			execute(t, u, `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
				$$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
				CREATE TRIGGER full_disk BEFORE INSERT ON roomspa.conversations FOR EACH ROW EXECUTE FUNCTION full_disk()`)
		})},
		{"no replica is ready since Postgres is not there", "no_ready_replica", "connection refused", func(t *testing.T, _ *app.App) diagnose.Options {
			w := newWorld(t)
			w.databaseURL = withURL(t, w.databaseURL, func(u *url.URL) { u.Host = closedPort(t) })
			a := w.start(t, "a")
			unready(t, a)
			_, port, _ := strings.Cut(a.OpsAddr(), ":")
			return looking(t, haproxy(t, "option httpchk GET /readyz\n  server a "+a.Addr()+" check inter 100ms fall 1 port "+port), a)
		}},
	}
}

func mustParse(t testing.TB, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// locked holds a lock on the users until the test has ended.
func locked(t *testing.T, databaseURL string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE roomspa.users IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
}
