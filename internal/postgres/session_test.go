package postgres_test

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// setDefault sets a default of the database, for connections that are made later.
func setDefault(t *testing.T, conn *pgx.Conn, name, value string) {
	t.Helper()
	execute(t, conn, fmt.Sprintf(`DO $do$ BEGIN EXECUTE format($f$ALTER DATABASE %%I SET %s = %s$f$, current_database()); END $do$`, name, value))
}

// crowd stores messages of two replicas in one conversation, all at the same moments.
func crowd(t *testing.T, o postgres.Options) {
	t.Helper()
	replicas := []*postgres.DB{open(t, o), open(t, o)}
	id := conversation(t, replicas[0], 1)
	const rounds, senders = 20, 4
	for round := range rounds {
		var wg sync.WaitGroup
		for s := range senders {
			wg.Go(func() {
				if _, _, err := replicas[s%2].Append(t.Context(), id, says("x", fmt.Sprint(round, "-", s))); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	if msgs := all(t, replicas[0], id); len(msgs) != rounds*senders || msgs[len(msgs)-1].Seq != rounds*senders {
		t.Errorf("%d messages", len(msgs))
	}
	mustWork(t, replicas[0], id)
}

// hostile are defaults that an operator may have set for the database or the role.
var hostile = [][2]string{
	{"default_transaction_isolation", "'repeatable read'"},
	{"default_transaction_isolation", "'serializable'"},
	{"statement_timeout", "'1ms'"},
	{"lock_timeout", "'1ms'"},
	{"idle_in_transaction_session_timeout", "'1ms'"},
	{"idle_session_timeout", "'1s'"},
	{"search_path", "evil, pg_catalog"},
	{"search_path", "''"},
	{"timezone", "'Asia/Tokyo'"},
	{"datestyle", "'German'"},
	{"intervalstyle", "'sql_standard'"},
	{"bytea_output", "'escape'"},
	{"standard_conforming_strings", "off"},
	{"client_encoding", "'LATIN1'"},
	{"extra_float_digits", "-10"},
	{"transform_null_equals", "on"},
	{"plan_cache_mode", "'force_custom_plan'"},
	{"client_min_messages", "'error'"},
	{"jit", "on"},
	{"synchronous_commit", "off"},
	{"enable_indexscan", "off"},
	{"array_nulls", "off"},
	{"row_security", "off"},
	{"default_transaction_deferrable", "on"},
	{"work_mem", "'64kB'"},
	{"temp_file_limit", "0"},
	{"session_replication_role", "'replica'"},
	{"exit_on_error", "on"},
	{"backslash_quote", "off"},
	{"client_min_messages", "'debug1'"},
}

const evilFunctions = `
CREATE SCHEMA evil;
CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT '1999-01-01'::timestamptz $$;
CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT '1999-01-01'::timestamptz $$;
CREATE FUNCTION evil.lower(text) RETURNS text LANGUAGE sql AS $$ SELECT 'evil' $$;
CREATE FUNCTION evil.gen_random_uuid() RETURNS uuid LANGUAGE sql AS $$ SELECT '00000000-0000-0000-0000-000000000000'::uuid $$;`

func TestDefaultsOfTheDatabaseChangeNothing(t *testing.T) {
	t.Parallel()
	for _, d := range hostile {
		t.Run(d[0]+"="+d[1], func(t *testing.T) {
			t.Parallel()
			url := world.Database(t, nil)
			conn := direct(t, url)
			execute(t, conn, evilFunctions)
			setDefault(t, conn, d[0], d[1])
			o := postgres.Options{URL: url}
			if _, err := postgres.Migrate(t.Context(), world.Patient(o), slog.New(slog.DiscardHandler)); err != nil {
				t.Fatal(err)
			}
			crowd(t, o)
		})
	}
}

func TestSettingsOfTheURLChangeNothing(t *testing.T) {
	t.Parallel()
	url := world.Database(t, nil)
	for _, s := range []string{
		"statement_timeout=1", "default_transaction_isolation=serializable", "options=-c%20statement_timeout%3D1%20-c%20lock_timeout%3D1",
		"timezone=Asia/Tokyo", "search_path=nowhere",
	} {
		o := postgres.Options{URL: url + "&" + s}
		if _, err := postgres.Migrate(t.Context(), world.Patient(o), slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(s, err)
		}
		db := open(t, o)
		mustWork(t, db, conversation(t, db, 1))
	}
}

// TestSessionsSetWhatTheyNeed looks at the settings of a session from within, where commits also
// wait for the disk unless the operator has chosen another way to wait.
func TestSessionsSetWhatTheyNeed(t *testing.T) {
	t.Parallel()
	url := database(t)
	conn := direct(t, url)
	execute(t, conn, `
CREATE TABLE public.seen (synchronous_commit text, idle_session_timeout text, transaction_timeout text, workers text);
CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN -- the table is found by the search path of the database
	INSERT INTO seen VALUES (current_setting('synchronous_commit'), current_setting('idle_session_timeout'), current_setting('transaction_timeout', true),
		current_setting('max_parallel_workers_per_gather'));
	RETURN NULL;
END $$;
CREATE TRIGGER see AFTER INSERT ON roomspa.messages FOR EACH ROW EXECUTE FUNCTION public.see()`)
	setDefault(t, conn, "idle_session_timeout", "'1min'")
	setDefault(t, conn, "session_replication_role", "'replica'") // without triggers
	for to, want := range map[string]string{"off": "on", "local": "local", "remote_apply": "remote_apply"} {
		setDefault(t, conn, "synchronous_commit", to)
		db := open(t, postgres.Options{URL: url})
		send(t, db, conversation(t, db, 1), says("x", ""))
		var commit, idle, workers string
		var transaction *string
		err := conn.QueryRow(t.Context(), "DELETE FROM seen RETURNING *").Scan(&commit, &idle, &transaction, &workers)
		if err != nil || commit != want || idle != "0" || transaction != nil && *transaction != "0" || workers != "0" {
			t.Errorf("%s: %q, %q, %v, %q, %v", to, commit, idle, transaction, workers, err)
		}
	}
}

func TestReadOnlyIsNamed(t *testing.T) {
	t.Parallel()
	url := database(t)
	setDefault(t, direct(t, url), "default_transaction_read_only", "on")
	db := open(t, postgres.Options{URL: url})
	for _, probe := range []func() error{
		func() error { _, err := db.Probe(t.Context()); return err },
		func() error { _, err := db.CheckServer(t.Context()); return err },
	} {
		if err := probe(); postgres.Cause(err) != "read_only" || !strings.Contains(err.Error(), "default_transaction_read_only is on") {
			t.Error(err)
		}
	}
}

// TestADeadlockWithOthersIsTriedAgain a few times: the server has rolled it back.
func TestADeadlockWithOthersIsTriedAgain(t *testing.T) {
	t.Parallel()
	url := database(t)
	conn := direct(t, url)
	execute(t, conn, `
CREATE SEQUENCE public.tried;
CREATE FUNCTION public.lose() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF nextval('public.tried') % 3 > 0 THEN
		RAISE EXCEPTION 'lost' USING ERRCODE = CASE WHEN currval('public.tried') % 3 = 1 THEN '40P01' ELSE '40001' END;
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER lose BEFORE INSERT ON roomspa.messages FOR EACH ROW EXECUTE FUNCTION public.lose()`)
	db := open(t, postgres.Options{URL: url})
	id := conversation(t, db, 1)
	for i := range 3 {
		if m, duplicate := send(t, db, id, says("x", fmt.Sprint(i))); m.Seq != int64(i+1) || duplicate {
			t.Errorf("%+v, duplicate %v", m, duplicate)
		}
	}
}
