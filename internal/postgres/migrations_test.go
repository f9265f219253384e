package postgres_test

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestMigrationsGoUpAndDownAndUp(t *testing.T) {
	t.Parallel()
	url := world.Database(t, nil)
	o, log := world.Patient(postgres.Options{URL: url}), slog.New(slog.DiscardHandler)
	db := open(t, o)
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	probe := func(cause, text string) {
		t.Helper()
		_, err := db.Probe(t.Context())
		if postgres.Cause(err) != cause || (err != nil && !strings.Contains(err.Error(), text)) || (err != nil && !errors.Is(err, room.ErrUnavailable)) {
			t.Errorf("want %s (%s), got %v", cause, text, err)
		}
	}
	up := func() {
		t.Helper()
		if applied, err := postgres.Migrate(t.Context(), o, log); err != nil || len(applied) != len(files) {
			t.Errorf("applied %v, %v", applied, err)
		}
		if applied, err := postgres.Migrate(t.Context(), o, log); err != nil || len(applied) != 0 {
			t.Errorf("applied again %v, %v", applied, err)
		}
		probe("", "")
	}
	probe("schema_missing", "run roomspa migrate up")
	if status, err := postgres.MigrationStatus(t.Context(), o); err != nil || len(status) != len(files) || !status[0].AppliedAt.IsZero() {
		t.Errorf("status of an empty database: %v, %v", status, err)
	}
	probe("schema_missing", "run roomspa migrate up") // looking has made nothing
	up()
	status, err := postgres.MigrationStatus(t.Context(), o)
	if err != nil || len(status) != len(files) || status[0].AppliedAt.IsZero() || status[0].Name != filepath.Base(files[0]) {
		t.Errorf("status %v, %v", status, err)
	}
	for i := range files {
		undone, err := postgres.MigrateDown(t.Context(), o, log)
		if err != nil || len(undone) != 1 || undone[0].Name != filepath.Base(files[len(files)-1-i]) {
			t.Errorf("undone %v, %v", undone, err)
		}
		if i == 0 {
			probe("schema_too_old", fmt.Sprintf("it has version %d, this binary needs %d: run roomspa migrate up", version(files[len(files)-2]), version(files[len(files)-1])))
		}
	}
	probe("schema_missing", "run roomspa migrate up")
	if undone, err := postgres.MigrateDown(t.Context(), o, log); err != nil || len(undone) != 0 {
		t.Errorf("undone %v, %v", undone, err)
	}
	up()
}

// version returns the number of the file of a migration.
func version(file string) int {
	number, _, _ := strings.Cut(filepath.Base(file), "_")
	n, _ := strconv.Atoi(number)
	return n
}

func TestTooNewIsWhatTheSchemaSays(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, postgres.Options{URL: url})
	conn := direct(t, url)
	execute(t, conn, "INSERT INTO roomspa.goose_db_version (version_id, is_applied) VALUES (99, true)")
	if s, err := db.Probe(t.Context()); err != nil || s.Schema != 99 {
		t.Errorf("a schema that is merely newer: %+v, %v", s, err)
	}
	execute(t, conn, "UPDATE roomspa.compatibility SET oldest_served = 98")
	status, err := postgres.MigrationStatus(t.Context(), world.Patient(postgres.Options{URL: url}))
	if last := len(status) - 1; err != nil || status[last].Version != 99 || status[last].AppliedAt.IsZero() {
		t.Errorf("status %v, %v", status, err)
	}
	_, err = db.Probe(t.Context())
	if postgres.Cause(err) != "schema_too_new" || !strings.Contains(err.Error(), "it has version 99") || !strings.Contains(err.Error(), "this binary serves up to ") {
		t.Errorf("got %v", err)
	}
}

func TestTwoMigrateAtOnce(t *testing.T) {
	t.Parallel()
	migrateAtOnce(t, world.Patient(postgres.Options{URL: world.Database(t, nil)}))
}

func migrateAtOnce(t *testing.T, o postgres.Options) {
	t.Helper()
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	total := 0
	for range 4 {
		wg.Go(func() {
			applied, err := postgres.Migrate(t.Context(), o, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			total += len(applied)
		})
	}
	wg.Wait()
	if total != len(files) {
		t.Errorf("%d steps were taken, want %d", total, len(files))
	}
	if _, err := open(t, o).Probe(t.Context()); err != nil {
		t.Error(err)
	}
}
