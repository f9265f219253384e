package postgres_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// A syncLog collects log lines of several goroutines.
type syncLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *syncLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *syncLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// downTo migrates down to a version of the schema.
func downTo(t *testing.T, o postgres.Options, version int64) {
	t.Helper()
	for {
		undone, err := postgres.MigrateDown(t.Context(), o, slog.New(slog.DiscardHandler))
		if err != nil || len(undone) != 1 {
			t.Fatal(undone, err)
		}
		if undone[0].Version == version+1 {
			return
		}
	}
}

// invalidIndexes returns the names of the indexes that are not valid.
func invalidIndexes(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	rows, _ := conn.Query(t.Context(), "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid")
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestMigrationsHaveLimitsOfTheirOwn: a timeout of the role, which rows enough exceed, and an
// index that an attempt before has left invalid.
func TestMigrationsHaveLimitsOfTheirOwn(t *testing.T) {
	t.Parallel()
	url := database(t)
	conn := direct(t, url)
	o := world.Patient(postgres.Options{URL: url})
	downTo(t, o, 3)
	execute(t, conn, "INSERT INTO roomspa.conversations (customer_id, therapist_id) SELECT n, n + 1 FROM generate_series(1, 20000) n")
	execute(t, conn, "SET statement_timeout = 1")
	if _, err := conn.Exec(t.Context(), "CREATE INDEX CONCURRENTLY conversations_therapist ON roomspa.conversations (therapist_id)"); err == nil {
		t.Fatal("it was built within a millisecond")
	}
	eventually(t, "no timeout any more", func() error { // the timeout of a millisecond is also that of this statement
		_, err := conn.Exec(t.Context(), "SET statement_timeout = 0")
		return err
	})
	if len(invalidIndexes(t, conn)) == 0 {
		t.Log("the attempt has left nothing")
	}
	for name, value := range map[string]string{
		"statement_timeout": "'1ms'", "idle_in_transaction_session_timeout": "'1ms'", "idle_session_timeout": "'1s'",
	} {
		setDefault(t, conn, name, value)
	}
	if applied, err := postgres.Migrate(t.Context(), o, slog.New(slog.DiscardHandler)); err != nil || len(applied) < 8 {
		t.Error(applied, err)
	}
	if left := invalidIndexes(t, conn); len(left) > 0 {
		t.Error(left)
	}
}

// TestAnInvalidIndexIsReplaced of every migration that builds one, and a valid one stays.
func TestAnInvalidIndexIsReplaced(t *testing.T) {
	t.Parallel()
	url := database(t)
	conn := direct(t, url)
	o := world.Patient(postgres.Options{URL: url})
	names := []string{"conversations_therapist", "conversations_number", "messages_of_support"}
	downTo(t, o, 9)
	execute(t, conn, `
CREATE SEQUENCE roomspa.message_numbers; CREATE SEQUENCE roomspa.conversation_numbers;
ALTER TABLE roomspa.messages ADD number bigint DEFAULT nextval('roomspa.message_numbers'), ADD read_at timestamptz;
ALTER TABLE roomspa.conversations ADD number bigint DEFAULT nextval('roomspa.conversation_numbers');
CREATE INDEX conversations_number ON roomspa.conversations (created_at);
CREATE INDEX messages_of_support ON roomspa.messages (body);
UPDATE pg_index SET indisvalid = false WHERE indexrelid IN ('roomspa.conversations_number'::regclass, 'roomspa.messages_of_support'::regclass)`)
	oid := func(name string) (oid uint32) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), "SELECT $1::text::regclass::oid", "roomspa."+name).Scan(&oid); err != nil {
			t.Fatal(err)
		}
		return oid
	}
	before := map[string]uint32{}
	for _, name := range names {
		before[name] = oid(name)
	}
	if _, err := postgres.Migrate(t.Context(), o, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if kept := oid(name) == before[name]; kept != (name == "conversations_therapist") {
			t.Errorf("%s was kept: %v", name, kept)
		}
	}
	if left := invalidIndexes(t, conn); len(left) > 0 {
		t.Error(left)
	}
}

// TestAMigrationSaysForWhomItWaits: a dump has a snapshot for longer than the lock timeout.
func TestAMigrationSaysForWhomItWaits(t *testing.T) {
	t.Parallel()
	url := database(t)
	o := world.Patient(postgres.Options{URL: url})
	downTo(t, o, 3)
	dump := direct(t, url)
	execute(t, dump, "SET application_name = 'pg_dump'")
	setDefault(t, dump, "lock_timeout", "'100ms'")
	execute(t, dump, "BEGIN ISOLATION LEVEL REPEATABLE READ")
	execute(t, dump, "SELECT count(*) FROM pg_class")
	var log syncLog
	done := make(chan error, 1)
	go func() {
		_, err := postgres.Migrate(context.WithoutCancel(t.Context()), o, slog.New(slog.NewTextHandler(&log, nil)))
		done <- err
	}()
	waits := regexp.MustCompile(`Migration waits for other transactions" transactions="pid \d+ \(user .*, application pg_dump, for \d+s\)`)
	world.Eventually(t, "two lines: the wait is longer than the lock timeout of migrations", func() (bool, any) {
		return len(waits.FindAllString(log.String(), -1)) > 1, log.String()
	})
	execute(t, dump, "COMMIT")
	if err := <-done; err != nil {
		t.Error(err)
	}
	if left := invalidIndexes(t, dump); len(left) > 0 {
		t.Error(left)
	}
}

// TestMigrationsBuildIndexesInOneWay: what limits and cleans them is in one place, which
// needs this form.
func TestMigrationsBuildIndexesInOneWay(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	good := regexp.MustCompile(`^CREATE (UNIQUE )?INDEX CONCURRENTLY IF NOT EXISTS \w+ ON |^DROP INDEX CONCURRENTLY IF EXISTS roomspa\.\w+;`)
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "INDEX CONCURRENTLY") && !good.MatchString(line) {
				t.Errorf("%s: %s", name, line)
			}
			if strings.Contains(line, "_timeout") {
				t.Errorf("%s has limits of its own: %s", name, line)
			}
		}
	}
}
