package diagnose_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/testkit/sandbox"
	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/diagnose"
)

// tell sends a command to a Redis.
func tell(t testing.TB, redisURL string, args ...any) {
	t.Helper()
	w := &world.World{RedisURL: redisURL}
	if err := w.RedisClient(t).Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
}

// inRedis is what is wrong with Redis.
func inRedis() []broken {
	// begun starts a replica with a Redis that is broken already.
	begun := func(prepare func(t *testing.T, r *sandbox.Redis) string) func(*testing.T, *world.Replica) diagnose.Options {
		return func(t *testing.T, _ *world.Replica) diagnose.Options {
			w := world.New(t)
			w.RedisURL = prepare(t, world.StartRedis(t))
			a := w.Start(t, "a")
			a.WaitNotReady(t)
			return looking(t, a.Addr(), a)
		}
	}
	// later breaks it under a replica that is ready.
	later := func(breakIt func(t *testing.T, r *sandbox.Redis)) func(*testing.T, *world.Replica) diagnose.Options {
		return func(t *testing.T, _ *world.Replica) diagnose.Options {
			w, r := world.New(t), world.StartRedis(t)
			w.RedisURL = r.URL()
			a := w.Ready(t, "a")
			breakIt(t, r)
			a.WaitNotReady(t)
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
		{"Redis has no client left", "redis_max_clients", "", func(t *testing.T, _ *world.Replica) diagnose.Options {
			w, r := world.New(t), world.StartRedis(t, map[string]string{"maxclients": "1"})
			w.RedisURL = r.URL()
			tell(t, r.URL(), "PING") // over a connection that stays
			a := w.Start(t, "a")
			a.WaitNotReady(t)
			return looking(t, a.Addr(), a)
		}},
		{"Redis is a read-only replica", "redis_read_only", "", func(t *testing.T, _ *world.Replica) diagnose.Options {
			w, master, r := world.New(t), world.StartRedis(t), world.StartRedis(t)
			w.RedisURL = r.URL()
			a := w.Ready(t, "a")
			u := mustParse(t, master.URL())
			secret, _ := u.User.Password()
			tell(t, r.URL(), "CONFIG", "SET", "masterauth", secret)
			tell(t, r.URL(), "REPLICAOF", u.Hostname(), u.Port())
			return looking(t, a.Addr(), a)
		}},
		{"Redis has no memory left", "redis_out_of_memory", "", func(t *testing.T, _ *world.Replica) diagnose.Options {
			w, r := world.New(t), world.StartRedis(t)
			w.RedisURL = r.URL()
			a := w.Ready(t, "a")
			tell(t, r.URL(), "CONFIG", "SET", "maxmemory-policy", "noeviction")
			tell(t, r.URL(), "CONFIG", "SET", "maxmemory", "1")
			return looking(t, a.Addr(), a)
		}},
	}
}

// inPostgres is what is wrong with Postgres.
func inPostgres() []broken {
	// begun starts a replica with a database that is broken already.
	begun := func(prepare func(t *testing.T, databaseURL string) string, edit ...func(*app.Options)) func(*testing.T, *world.Replica) diagnose.Options {
		return func(t *testing.T, _ *world.Replica) diagnose.Options {
			w := world.New(t)
			w.DatabaseURL = prepare(t, w.DatabaseURL)
			a := w.Start(t, "a", append([]func(*app.Options){world.DefaultTimeouts}, edit...)...)
			a.WaitNotReady(t)
			return looking(t, a.Addr(), a)
		}
	}
	sql := func(statements string) func(*testing.T, string) string {
		return func(t *testing.T, databaseURL string) string {
			world.Exec(t, databaseURL, statements)
			return databaseURL
		}
	}
	// silent breaks what readiness does not look at.
	silent := func(breakIt func(t *testing.T, databaseURL string), edit ...func(*app.Options)) func(*testing.T, *world.Replica) diagnose.Options {
		return func(t *testing.T, _ *world.Replica) diagnose.Options {
			w := world.New(t)
			a := w.Ready(t, "a", append([]func(*app.Options){world.DefaultTimeouts}, edit...)...)
			breakIt(t, w.DatabaseURL)
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
			world.Exec(t, databaseURL, "CREATE ROLE "+role+" LOGIN PASSWORD 'pass' CONNECTION LIMIT 0")
			conn := (&world.World{DatabaseURL: databaseURL}).SQL(t)
			t.Cleanup(func() {
				if _, err := conn.Exec(context.WithoutCancel(t.Context()), "DROP ROLE "+role); err != nil {
					t.Error(err)
				}
			})
			return withURL(t, databaseURL, func(u *url.URL) { u.User = url.UserPassword(role, "pass") })
		})},
		{"there is no schema", "schema_missing", "", begun(func(t *testing.T, _ string) string { return world.Database(t, nil) })},
		{"the schema is too old", "schema_too_old", "", begun(func(t *testing.T, u string) string {
			if _, err := postgres.MigrateDown(t.Context(), postgres.Options{URL: u}, slog.New(slog.DiscardHandler)); err != nil {
				t.Fatal(err)
			}
			return u
		})},
		{"the schema is too new", "schema_too_new", "", begun(sql("INSERT INTO roomspa.goose_db_version (version_id, is_applied) VALUES (99, true); UPDATE roomspa.compatibility SET oldest_served = 98"))},
		{"Postgres is read-only", "postgres_read_only", "", begun(func(t *testing.T, u string) string {
			world.Exec(t, u, fmt.Sprintf("ALTER DATABASE %s SET default_transaction_read_only = on", strings.TrimPrefix(mustParse(t, u).Path, "/")))
			return u
		})},
		{"a table is locked", "postgres_locked", "", silent(locked)},
		{"a statement takes too long", "postgres_statement_timeout", "", silent(locked, func(o *app.Options) {
			o.DatabaseLockTimeout, o.DatabaseStatementTimeout = 10*time.Second, 500*time.Millisecond
		})},
		{"the disk of Postgres is full", "postgres_disk_full", "", silent(func(t *testing.T, u string) {
			world.Exec(t, u, `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
				$$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
				CREATE TRIGGER full_disk BEFORE INSERT ON roomspa.conversations FOR EACH ROW EXECUTE FUNCTION full_disk()`)
		})},
		{"no replica is ready since Postgres is not there", "no_ready_replica", "connection refused", func(t *testing.T, _ *world.Replica) diagnose.Options {
			w := world.New(t)
			w.DatabaseURL = withURL(t, w.DatabaseURL, func(u *url.URL) { u.Host = closedPort(t) })
			a := w.Start(t, "a", world.DefaultTimeouts)
			a.WaitNotReady(t)
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

// locked locks the users until the end of the test.
func locked(t *testing.T, databaseURL string) {
	t.Helper()
	conn := (&world.World{DatabaseURL: databaseURL}).SQL(t)
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE roomspa.users IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
}
