package check_test

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"net/url"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/ops"
	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/check"
)

func TestMain(m *testing.M) { world.Main(m) }

// run checks, and returns the results by name.
func run(t *testing.T, o app.Options, s check.Selection) (results map[string]ops.Result, ok bool) {
	t.Helper()
	all, ok := check.Run(t.Context(), o, s)
	results = map[string]ops.Result{}
	for _, r := range all {
		results[r.Name] = r
		t.Log(text(r))
	}
	return results, ok
}

func text(r ops.Result) string {
	b, _ := json.Marshal(r)
	return string(b)
}

func TestAHealthyDeploymentPasses(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	before := count(t, w)
	results, ok := run(t, w.Options(t), check.Selection{})
	if !ok || len(results) < 12 {
		t.Error("a check fails")
	}
	for name, r := range results {
		if r.Warning != "" && name != "open_files" && name != "settings" { // a server of tests is not safe from a power failure
			t.Errorf("%s warns: %s", name, r.Warning)
		}
	}
	if after := count(t, w); after != before {
		t.Errorf("it leaves something behind: %s, before %s", after, before)
	}
}

// count returns how many conversations, messages and keys there are.
func count(t *testing.T, w *world.World) string {
	t.Helper()
	var conversations, messages int
	if err := w.SQL(t).QueryRow(t.Context(), "SELECT (SELECT count(*) FROM roomspa.conversations), (SELECT count(*) FROM roomspa.messages)").Scan(&conversations, &messages); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(conversations, messages)
}

// limited returns options with a role that has what a replica needs, and then changes it by SQL,
// in which %[1]s is the role.
func limited(t *testing.T, w *world.World, sql string) app.Options {
	t.Helper()
	conn := w.SQL(t)
	u, err := url.Parse(w.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	role := "limited_" + strings.TrimPrefix(u.Path, "/")
	for statement := range strings.SplitSeq(`CREATE ROLE %[1]s LOGIN PASSWORD 'x'; GRANT USAGE ON SCHEMA roomspa TO %[1]s;
		GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA roomspa TO %[1]s; GRANT USAGE ON ALL SEQUENCES IN SCHEMA roomspa TO %[1]s; `+sql, ";") {
		if statement = strings.TrimSpace(statement); statement == "" {
			continue
		}
		if strings.Contains(statement, "%[") {
			statement = fmt.Sprintf(statement, role)
		}
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	t.Cleanup(func() {
		_, _ = conn.Exec(context.WithoutCancel(t.Context()), fmt.Sprintf("DROP OWNED BY %[1]s; DROP ROLE %[1]s", role))
	})
	o := w.Options(t)
	u.User = url.UserPassword(role, "x")
	o.DatabaseURL = u.String()
	return o
}

// TestWhatTheDatabaseUserLacks takes something away, and looks for the check that names it.
func TestWhatTheDatabaseUserLacks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ sql, check, cause, want string }{
		"nothing":        {"", "", "", ""},
		"INSERT":         {"REVOKE INSERT ON roomspa.messages FROM %[1]s", "privileges", "postgres_permission_denied", "GRANT INSERT ON roomspa.messages TO limited_"},
		"the message":    {"REVOKE INSERT ON roomspa.messages FROM %[1]s", "message", "postgres_permission_denied", "permission denied for table messages"},
		"users":          {"REVOKE SELECT ON roomspa.users FROM %[1]s", "users", "postgres_permission_denied", "permission denied for table users"},
		"several":        {"REVOKE SELECT, UPDATE ON roomspa.users FROM %[1]s; REVOKE ALL ON roomspa.cursors FROM %[1]s", "privileges", "postgres_permission_denied", "GRANT SELECT, INSERT, UPDATE ON roomspa.cursors TO limited_"},
		"a sequence":     {"REVOKE USAGE ON SEQUENCE roomspa.message_numbers FROM %[1]s", "privileges", "postgres_permission_denied", "GRANT USAGE ON SEQUENCE roomspa.message_numbers TO limited_"},
		"the schema":     {"REVOKE USAGE ON SCHEMA roomspa FROM %[1]s", "privileges", "postgres_permission_denied", "GRANT USAGE ON SCHEMA roomspa TO limited_"},
		"a table":        {"DROP TABLE roomspa.blocks", "privileges", "schema_damaged", "there is no roomspa.blocks"},
		"rows":           {"ALTER TABLE roomspa.messages ENABLE ROW LEVEL SECURITY", "settings", "postgres_row_security", "on roomspa.messages"},
		"rows, to write": {"ALTER TABLE roomspa.messages ENABLE ROW LEVEL SECURITY", "message", "postgres_row_security", "row-level security policy for table \"messages\""},
		"no rows, since a policy lets it see all": {"ALTER TABLE roomspa.messages ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON roomspa.messages USING (true)", "", "", ""},
		"rows, to read": {"ALTER TABLE roomspa.users ENABLE ROW LEVEL SECURITY", "settings", "postgres_row_security", "on roomspa.users"},
		"a rule":        {"CREATE RULE r AS ON INSERT TO roomspa.messages DO INSTEAD NOTHING", "message", "postgres_other", ""},
		"read only":     {"ALTER ROLE %[1]s SET default_transaction_read_only = on", "database", "postgres_read_only", "default_transaction_read_only"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			results, ok := run(t, limited(t, world.New(t), c.sql), check.Selection{Database: true})
			if ok != (c.check == "") {
				t.Errorf("it passes: %v", ok)
			}
			if c.check == "" {
				return
			}
			r := results[c.check]
			if r.OK || r.Cause != c.cause || !strings.Contains(r.Error, c.want) || r.Advice == "" {
				t.Errorf("%s: %s", c.check, text(r))
			}
		})
	}
}

// TestTheDiskIsFull lets a trigger say so at the commit.
func TestTheDiskIsFull(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	if _, err := w.SQL(t).Exec(t.Context(), `
CREATE FUNCTION public.full() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
CREATE CONSTRAINT TRIGGER f AFTER INSERT ON roomspa.messages DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.full()`); err != nil {
		t.Fatal(err)
	}
	results, ok := run(t, w.Options(t), check.Selection{Database: true})
	if r := results["message"]; ok || r.Cause != "postgres_disk_full" {
		t.Error(text(r))
	}
}

func TestSettingsOfTheRole(t *testing.T) {
	t.Parallel()
	o := limited(t, world.New(t), "ALTER ROLE %[1]s SET enable_indexscan = off; ALTER ROLE %[1]s SET work_mem = '5MB'; ALTER ROLE %[1]s CONNECTION LIMIT 9")
	o.DatabaseMaxConnections = 16
	results, ok := run(t, o, check.Selection{Database: true})
	r := results["settings"]
	if !ok || !strings.Contains(r.Warning, "enable_indexscan = off") || !strings.Contains(r.Warning, "connection limit of 9") || !strings.Contains(r.Detail, "work_mem") {
		t.Error(text(r))
	}
}

func TestADatabaseThatIsNotUTF8(t *testing.T) {
	t.Parallel()
	server := world.StartPostgres(t)
	if err := world.Execute(t.Context(), server.URL("postgres"), "CREATE DATABASE old ENCODING 'LATIN1' TEMPLATE template0"); err != nil {
		t.Fatal(err)
	}
	if err := world.Migrate(t.Context(), server.URL("old")); err != nil {
		t.Fatal(err)
	}
	o := world.New(t).Options(t)
	o.DatabaseURL = server.URL("old")
	results, ok := run(t, o, check.Selection{Database: true})
	for _, name := range []string{"settings", "message"} {
		if r := results[name]; ok || r.Cause != "postgres_encoding" || !strings.Contains(r.Error, "LATIN1") {
			t.Errorf("%s: %s", name, text(r))
		}
	}
}

// TestWhatTheRedisUserLacks takes commands away, and looks for the line that gives them back.
func TestWhatTheRedisUserLacks(t *testing.T) {
	t.Parallel()
	server := world.StartRedis(t)
	w := world.New(t)
	for rules, want := range map[string]string{
		"~* &* +@all":                         "",
		"~* &* +@all -eval -evalsha":          "ACL SETUSER limited0 +eval +evalsha",
		"~other:* &* +@all":                   "~roomspa:*",
		"~* &other:* +@all":                   "&roomspa:*",
		"~* &* +@all -publish -subscribe":     "+publish +subscribe +unsubscribe",
		"~* &* +@all -time":                   "+time",
		"~* &* +@all -getdel -expire -lrange": "+getdel +lrange +expire",
		"~roomspa:* &roomspa:* +ping +subscribe +unsubscribe +publish +get +set +lpush +ltrim +lrange +expire +mget +del +getdel +getrange +time +eval +evalsha +hello +select": "",
	} {
		t.Run(rules, func(t *testing.T) {
			t.Parallel()
			name := "limited0"
			if !strings.Contains(want, name) {
				name = fmt.Sprint("limited", crc32.ChecksumIEEE([]byte(rules)))
			}
			world.RedisDirect(t, server.URL(), func(ctx context.Context, admin *goredis.Client) {
				args := []any{"ACL", "SETUSER", name, "reset", "on", ">x"}
				for r := range strings.FieldsSeq(rules) {
					args = append(args, r)
				}
				if err := admin.Do(ctx, args...).Err(); err != nil {
					t.Fatal(err)
				}
			})
			o := w.Options(t)
			o.RedisPrefix, o.RedisURL = "roomspa:", "redis://"+name+":x@"+server.Addr()
			results, ok := run(t, o, check.Selection{Redis: true})
			r := results["redis_commands"]
			if ok != (want == "") || !strings.Contains(r.Error, want) || want != "" && !strings.Contains(r.Error, "ACL SETUSER "+name+" ") {
				t.Errorf("passes: %v, %s", ok, text(r))
			}
		})
	}
}

func TestModesAndSettingsOfRedis(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	o := w.Options(t)
	cluster := world.RedisCluster(t)
	o.RedisURL = cluster.Nodes[0].URL()
	if results, ok := run(t, o, check.Selection{Redis: true}); ok || results["redis"].Cause != "redis_is_cluster" {
		t.Error("a cluster that is used as a single server: ", text(results["redis"]))
	}
	o.RedisURL, o.RedisMode = cluster.Options.URL, "cluster"
	if results, ok := run(t, o, check.Selection{Redis: true}); !ok {
		t.Error("a cluster: ", results)
	}
	o.RedisURL, o.RedisMode = world.StartRedis(t, map[string]string{"maxmemory": "100mb", "maxmemory-policy": "allkeys-lru"}).URL(), ""
	results, ok := run(t, o, check.Selection{Redis: true})
	if r := results["redis_settings"]; !ok || !strings.Contains(r.Warning, "allkeys-lru") {
		t.Error(text(r))
	}
}

// TestItNeverHangs checks stores that accept connections and say nothing.
func TestItNeverHangs(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	server, channel := world.StartPostgres(t), world.StartRedis(t)
	o := w.Options(t)
	world.DefaultTimeouts(&o)
	o.DatabaseURL, o.RedisURL = server.URL("postgres"), channel.URL()
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := channel.Pause(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	results, ok := run(t, o, check.Selection{})
	if took := time.Since(began); ok || took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
	for name, want := range map[string]string{"database": "postgres_stalled", "redis": "redis_stalled"} {
		if r := results[name]; r.Cause != want {
			t.Errorf("%s: %s", name, text(r))
		}
	}
}
