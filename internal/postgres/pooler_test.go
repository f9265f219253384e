package postgres_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/testkit/sandbox"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// throughPooler waits until a PgBouncer has started.
func throughPooler(t *testing.T, target string, settings ...string) (url string) {
	t.Helper()
	url = pgbouncer(t, target, settings...)
	db := open(t, postgres.Options{URL: url, PgBouncer: true})
	for postgres.Cause(probing(t, db)) == "refused" {
	}
	return url
}

const ignoreAll = "ignore_startup_parameters = statement_timeout,lock_timeout,plan_cache_mode,extra_float_digits," +
	"idle_in_transaction_session_timeout,default_transaction_isolation,default_transaction_deferrable,transform_null_equals,jit,client_min_messages"

// TestAPoolerThatNobodyDeclaredIsNamed by everything that connects, before a client uses it.
func TestAPoolerThatNobodyDeclaredIsNamed(t *testing.T) {
	t.Parallel()
	target := database(t)
	for name, settings := range map[string][]string{
		"defaults":             nil,
		"parameters ignored":   {ignoreAll, "default_pool_size = 3"},
		"one connection":       {ignoreAll, "default_pool_size = 1"},
		"first in, first out":  {ignoreAll, "server_round_robin = 1"},
		"statement pooling":    {ignoreAll, "pool_mode = statement"},
		"parameters passed on": {"pool_mode = transaction"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pooled := target
			if name == "parameters passed on" { // as the defaults of the database: nothing is lost
				pooled = database(t)
				conn := direct(t, pooled)
				setDefault(t, conn, "plan_cache_mode", "force_generic_plan")
				settings = append(settings, ignoreAll)
			}
			url := throughPooler(t, pooled, settings...)
			o := postgres.Options{URL: url}
			db := open(t, o)
			_, checked := db.CheckServer(t.Context())
			_, schema := db.CheckSchema(t.Context())
			for _, err := range []error{checked, schema} {
				if cause.Of(err) != "postgres_transaction_pooler" || !strings.Contains(fmt.Sprint(err), "--database-pooler pgbouncer") {
					t.Error(err)
				}
			}
			if _, err := postgres.Migrate(t.Context(), world.Patient(o), slog.New(slog.DiscardHandler)); postgres.Cause(err) != "transaction_pooler" {
				t.Error("migrate:", err)
			}
		})
	}
}

// TestAPoolerOfSessionsNeedsNoDeclaration: it keeps settings and statements.
func TestAPoolerOfSessionsNeedsNoDeclaration(t *testing.T) {
	t.Parallel()
	target := database(t)
	setDefault(t, direct(t, target), "plan_cache_mode", "force_generic_plan")
	url := throughPooler(t, target, "pool_mode = session", "default_pool_size = 20", ignoreAll)
	db := open(t, postgres.Options{URL: url})
	for range 3 {
		if _, err := db.CheckSchema(t.Context()); err != nil {
			t.Error(err)
		}
	}
	mustWork(t, db, conversation(t, db, 1))
}

// TestDefaultsChangeNothingThroughPgBouncer which has no settings of sessions.
func TestDefaultsChangeNothingThroughPgBouncer(t *testing.T) {
	t.Parallel()
	for _, d := range hostile {
		if d[0] == "statement_timeout" || d[0] == "lock_timeout" || d[0] == "search_path" && d[1] != "''" {
			continue // reads and the building of indexes have them there
		}
		t.Run(d[0]+"="+d[1], func(t *testing.T) {
			t.Parallel()
			target := world.Database(t, nil)
			value := strings.Replace(d[1], "1ms", "1s", 1) // a transaction sets it at its beginning
			setDefault(t, direct(t, target), d[0], value)
			o := postgres.Options{URL: throughPooler(t, target), PgBouncer: true}
			if _, err := postgres.Migrate(t.Context(), world.Patient(o), slog.New(slog.DiscardHandler)); err != nil {
				t.Fatal(err)
			}
			crowd(t, o)
		})
	}
}

// TestPgBouncerNamesTheTimeoutThatEndsAMigration: indexes are built outside of transactions.
func TestPgBouncerNamesTheTimeoutThatEndsAMigration(t *testing.T) {
	t.Parallel()
	target := database(t)
	downTo(t, world.Patient(postgres.Options{URL: target}), 3)
	conn := direct(t, target)
	execute(t, conn, "INSERT INTO roomspa.conversations (customer_id, therapist_id) SELECT n, n + 1 FROM generate_series(1, 200000) n")
	setDefault(t, conn, "statement_timeout", "'20ms'")
	o := world.Patient(postgres.Options{URL: throughPooler(t, target), PgBouncer: true})
	_, err := postgres.Migrate(t.Context(), o, slog.New(slog.DiscardHandler))
	if postgres.Cause(err) != "statement_timeout" || !strings.Contains(err.Error(), "migrate with the URL of Postgres itself") {
		t.Error(err)
	}
}

// TestAStandbyIsNamed as the only host of the URL.
func TestAStandbyIsNamed(t *testing.T) {
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
	o := postgres.Options{URL: standby.URL("postgres")}
	db := open(t, o)
	_, checked := db.CheckServer(t.Context())
	_, schema := db.CheckSchema(t.Context())
	for _, err := range []error{checked, schema} {
		if postgres.Cause(err) != "read_only" || !strings.Contains(fmt.Sprint(err), "it is a standby") {
			t.Error(err)
		}
	}
}
