package postgres_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/testkit/sandbox"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// warnings returns what a check of the settings warns of, for replicas with pools of that size.
func warnings(t *testing.T, db *postgres.DB, pool int) string {
	t.Helper()
	s, err := db.CheckSettings(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(s.Warnings, "\n")
}

func TestWhatAnOperatorMustChangeIsNamed(t *testing.T) {
	t.Parallel()
	settings := sandbox.ReplicationSettings()
	maps.Copy(settings, map[string]string{"autovacuum": "on", "fsync": "on", "full_page_writes": "on", "max_connections": "50", "max_replication_slots": "2"})
	url := world.StartPostgres(t, settings).URL("postgres")
	if err := world.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	db, conn := open(t, postgres.Options{URL: url}), direct(t, url)
	if text := warnings(t, db, 16); text != "" {
		t.Errorf("a server that is well: %s", text)
	}
	for _, c := range []struct{ harm, undo, want string }{
		{
			"ALTER TABLE roomspa.messages SET (autovacuum_enabled = off)", "ALTER TABLE roomspa.messages RESET (autovacuum_enabled)",
			"autovacuum is off for roomspa.messages, ",
		},
		{
			"SELECT pg_create_physical_replication_slot('left_behind', true)", "SELECT pg_drop_replication_slot('left_behind')",
			"the replication slot left_behind is not in use ",
		},
		{
			"INSERT INTO roomspa.replicas (id, name, hears, signs, accepts, seen_at) SELECT n::text, n::text, '1s', '', '{}', now() FROM generate_series(1, 4) n",
			"TRUNCATE roomspa.replicas", "4 replicas make up to 64 connections (--database-max-connections 16), and the server takes 47: ",
		},
	} {
		execute(t, conn, c.harm)
		if text := warnings(t, db, 16); !strings.HasPrefix(text, c.want) || strings.Contains(text, "\n") {
			t.Errorf("after %s: %q", c.harm, text)
		}
		execute(t, conn, c.undo)
		if text := warnings(t, db, 16); text != "" {
			t.Errorf("after %s: %q", c.undo, text)
		}
	}
	shared := warnings(t, open(t, postgres.Options{URL: database(t)}), 1) // a server of tests has them off
	for _, name := range []string{"autovacuum is off: ", "fsync is off: ", "full_page_writes is off: "} {
		if !strings.Contains(shared, name) {
			t.Errorf("no warning that %s%s", name, shared)
		}
	}
}
