package postgres_test

import (
	"log/slog"
	"testing"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// TestWhatWasSaidBeforeCursorsCountsAsRead migrates a database whose first three messages are
// older than its version 9. The therapist has read one of them since.
func TestWhatWasSaidBeforeCursorsCountsAsRead(t *testing.T) {
	t.Parallel()
	url := database(t)
	db, sql := open(t, postgres.Options{URL: url}), direct(t, url)
	old, fresh := conversation(t, db, 1), conversation(t, db, 5)
	for range 4 {
		send(t, db, old, says("x", ""))
	}
	send(t, db, fresh, says("x", ""))
	execute(t, sql, "UPDATE roomspa.messages SET created_at = created_at - interval '1 year' WHERE seq <= 3 AND conversation_id = $1", old)
	execute(t, sql, "INSERT INTO roomspa.cursors VALUES ($1, 2, 1, 1, now())", old)
	execute(t, sql, "UPDATE roomspa.goose_db_version SET tstamp = tstamp - interval '1 hour' WHERE version_id = 9")
	for {
		undone, err := postgres.MigrateDown(t.Context(), world.Patient(postgres.Options{URL: url}), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if undone[0].Version == 13 {
			break
		}
	}
	if err := world.Migrate(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	for r, want := range map[room.Room][2]int64{{Customer: 1, Therapist: 2}: {3, 1}, {Customer: 5, Therapist: 6}: {0, 0}} {
		c, err := db.Conversation(t.Context(), r, r.Customer)
		if err != nil || c.Customer.Read != want[0] || c.Customer.Delivered != want[0] || c.Therapist.Read != want[1] {
			t.Errorf("%v: %+v, %v, want read up to %v", r, c, err, want)
		}
	}
	changed, err := db.ChangedCursors(t.Context(), 3600e9)
	if err != nil || len(changed) != 1 {
		t.Errorf("%v count as changed, %v", changed, err)
	}
}
