package postgres_test

import (
	"errors"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/sandbox"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// works wants every call to work at the first attempt. While roomspa.users is a view, users cannot
// be written.
func works(t *testing.T, db *postgres.DB, c room.ID, after string) {
	t.Helper()
	for name, call := range calls(db, c) {
		err := call(t.Context())
		if err != nil && !errors.Is(err, room.ErrNotFound) && !errors.Is(err, postgres.ErrUsersAreView) {
			t.Errorf("%s after %s: %v", name, after, err)
		}
	}
	send(t, db, c, says("x", ""))
}

// schemaChanges are what operators, other applications and later migrations do to tables whose
// statements are prepared.
var schemaChanges = []string{
	"ALTER TABLE roomspa.messages ADD COLUMN of_another text DEFAULT 'x'",
	"ALTER TABLE roomspa.messages DROP COLUMN of_another",
	"ALTER TABLE roomspa.users ADD COLUMN nickname text, ALTER COLUMN email TYPE varchar(300)",
	"ALTER TABLE roomspa.users DROP COLUMN nickname, ALTER COLUMN email TYPE text",
	"ALTER TABLE roomspa.messages ALTER COLUMN number TYPE numeric",
	"ALTER TABLE roomspa.messages ALTER COLUMN number TYPE bigint",
	"ALTER TABLE roomspa.conversations ALTER COLUMN customer_id TYPE integer, ALTER COLUMN therapist_id TYPE integer",
	"ALTER TABLE roomspa.conversations ALTER COLUMN customer_id TYPE bigint, ALTER COLUMN therapist_id TYPE bigint",
	"CREATE INDEX by_another ON roomspa.messages (created_at)",
	"DROP INDEX roomspa.by_another",
	"REINDEX INDEX CONCURRENTLY roomspa.users_phone_number",
	"VACUUM FULL roomspa.conversations",
	"ALTER TABLE roomspa.users RENAME TO people; ALTER TABLE roomspa.people RENAME TO users",
	"ALTER TABLE roomspa.users RENAME TO people; CREATE VIEW roomspa.users AS SELECT * FROM roomspa.people",
	"DROP VIEW roomspa.users; ALTER TABLE roomspa.people RENAME TO users",
}

// TestCallsSurviveSchemaChanges at once and without an error, directly and through PgBouncer.
func TestCallsSurviveSchemaChanges(t *testing.T) {
	t.Parallel()
	for name, through := range map[string]func(*testing.T, string) postgres.Options{
		"direct": func(_ *testing.T, url string) postgres.Options { return postgres.Options{URL: url} },
		"PgBouncer": func(t *testing.T, url string) postgres.Options {
			return postgres.Options{URL: throughPooler(t, url), PgBouncer: true}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := database(t)
			o := through(t, url)
			o.MaxConnections = 1 // every statement is prepared in it
			db, conn := open(t, o), direct(t, url)
			c := conversation(t, db, 1)
			works(t, db, c, "nothing")
			for _, change := range schemaChanges {
				execute(t, conn, change)
				works(t, db, c, change)
			}
		})
	}
}

// TestLostPreparedStatementsAreMadeAgain: a pooler or a trigger has deallocated them.
func TestLostPreparedStatementsAreMadeAgain(t *testing.T) {
	t.Parallel()
	url := database(t)
	conn := direct(t, url)
	db := open(t, postgres.Options{URL: url, MaxConnections: 1})
	c := conversation(t, db, 1)
	works(t, db, c, "nothing")
	execute(t, conn, `
CREATE FUNCTION public.forget() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DEALLOCATE ALL'; RETURN NULL; END $$;
CREATE TRIGGER forget AFTER INSERT ON roomspa.messages FOR EACH STATEMENT EXECUTE FUNCTION public.forget()`)
	for name, call := range calls(db, c) {
		send(t, db, c, says("x", "")) // whatever is called next has no statement
		if err := call(t.Context()); err != nil && !errors.Is(err, room.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAFailoverToAStandby: the primary dies, the standby is promoted, and the pool finds it, by each
// way to write two hosts. What was acknowledged and replicated is there, and numbering goes on.
func TestAFailoverToAStandby(t *testing.T) {
	t.Parallel()
	primary := world.StartPostgres(t, sandbox.ReplicationSettings())
	if err := world.Migrate(t.Context(), primary.URL("postgres")); err != nil {
		t.Fatal(err)
	}
	standby, err := sandbox.StartStandby(t.Context(), primary, primary.Addr(), sandbox.PostgresOptions{
		Dir: filepath.Join(filepath.Dir(primary.Dir()), "standby-of-"+filepath.Base(primary.Dir())), Settings: sandbox.ReplicationSettings(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = standby.Kill() })
	execute(t, direct(t, primary.URL("postgres")), "ALTER SYSTEM SET synchronous_standby_names = '*'")
	execute(t, direct(t, primary.URL("postgres")), "SELECT pg_reload_conf()")
	u, err := url.Parse(primary.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	_, second, _ := net.SplitHostPort(standby.Addr())
	password, _ := u.User.Password()
	both := *u
	both.Host = standby.Addr() + "," + u.Host
	urls := []string{
		both.String(), both.String() + "&target_session_attrs=read-write", both.String() + "&target_session_attrs=primary",
		"host=127.0.0.1,127.0.0.1 port=" + second + "," + u.Port() + " target_session_attrs=read-write sslmode=disable dbname=postgres user=" + u.User.Username() + " password=" + password,
	}
	var dbs []*postgres.DB
	var rooms []room.ID
	for i, url := range urls {
		db := open(t, world.Patient(postgres.Options{URL: url}))
		dbs, rooms = append(dbs, db), append(rooms, conversation(t, db, 2*i+1))
		works(t, db, rooms[i], "nothing")
		send(t, db, rooms[i], says("the last one", ""))
	}
	if text := warnings(t, dbs[0], 1); !strings.Contains(text, "one alone is connected") {
		t.Errorf("no warning that commits depend on one standby: %s", text)
	}
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := dbs[0].Probe(t.Context()); err == nil {
		t.Error("ready without a primary")
	}
	if err := standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, db := range dbs {
		heals(t, db)
		works(t, db, rooms[i], "the failover")
		texts := []string{}
		for n, m := range all(t, db, rooms[i]) {
			if texts = append(texts, m.Text); m.Seq != int64(n+1) {
				t.Errorf("message %d has seq %d", n+1, m.Seq)
			}
		}
		if !slices.Contains(texts, "the last one") {
			t.Errorf("%s lost what was acknowledged", urls[i][:4])
		}
	}
}
