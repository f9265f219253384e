package postgres_test

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// pgbouncer starts one in front of a database, and returns the URL through it.
func pgbouncer(t *testing.T, target string, settings ...string) string {
	t.Helper()
	_, url := world.StartPgBouncer(t, target, settings...)
	return url
}

func TestBehindPgBouncer(t *testing.T) {
	t.Parallel()
	target := world.Database(t, nil)
	o := world.Patient(postgres.Options{URL: pgbouncer(t, target), PgBouncer: true})
	heals := func(db *postgres.DB) { // it is starting
		for postgres.Cause(probing(t, db)) == "refused" {
		}
	}
	heals(open(t, o))
	migrateAtOnce(t, o)
	replicas := []*postgres.DB{open(t, o), open(t, o)}
	db := replicas[0]
	a, b := conversation(t, db, 1), conversation(t, db, 3)
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for n := range 20 {
				c := a
				if n%2 == 0 {
					c = b
				}
				if _, _, err := replicas[i%2].Append(t.Context(), c, says("x", fmt.Sprint(i/2, "-", n))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, c := range []room.ID{a, b} { // each id came from two callers
		msgs := all(t, db, c)
		if len(msgs) != 160 || msgs[159].Seq != 160 {
			t.Errorf("%d messages", len(msgs))
		}
	}
	mustWork(t, db, a)
	if _, err := db.CreateUser(t.Context(), room.User{ID: 77, Email: "a@example.com", Role: room.Customer}, "-"); err != nil {
		t.Error(err)
	}
	if _, _, err := db.Append(t.Context(), a, says("a\x00b", "")); postgres.Cause(err) != "rejected" {
		t.Error(err)
	}
	conn := direct(t, target)
	execute(t, conn, "BEGIN")
	execute(t, conn, "SELECT FROM roomspa.conversations WHERE id = $1 FOR UPDATE", a)
	o.LockTimeout = 300 * time.Millisecond
	if _, _, err := open(t, o).Append(t.Context(), a, says("x", "")); postgres.Cause(err) != "lock_timeout" {
		t.Error(err)
	}
	execute(t, conn, "ROLLBACK")
	if m, _ := send(t, db, a, says("x", "")); m.Seq < 161 {
		t.Errorf("seq %d", m.Seq)
	}
}

func probing(t *testing.T, db *postgres.DB) error {
	t.Helper()
	_, err := db.Probe(t.Context())
	return err
}

// TestIndexesAreBuiltBehindPgBouncer: migrations 10 and 15 with rows, and with users who share a
// number, from the version before each.
func TestIndexesAreBuiltBehindPgBouncer(t *testing.T) {
	t.Parallel()
	target := world.Database(t, nil)
	o := world.Patient(postgres.Options{URL: pgbouncer(t, target), PgBouncer: true})
	heal := open(t, o)
	for postgres.Cause(probing(t, heal)) == "refused" { // it is starting
	}
	up := func() string {
		t.Helper()
		var log syncLog
		if _, err := postgres.Migrate(t.Context(), o, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
			t.Fatal(err)
		}
		return log.String()
	}
	up()
	c := conversation(t, heal, 1)
	for n := range 30 {
		send(t, heal, c, says("x", fmt.Sprint(n)))
	}
	downTo(t, o, 9)
	conn := direct(t, target)
	execute(t, conn, `INSERT INTO roomspa.users (id, email, phone, role, password) VALUES
		(901, 'a@example.com', '+49 1', 'customer', '-'), (902, 'b@example.com', '+491', 'customer', '-')`)
	if log := up(); !strings.Contains(log, "Users 901, 902 have the same phone number") {
		t.Errorf("the log does not name the users:\n%s", log)
	}
	if left := invalidIndexes(t, conn); len(left) > 0 {
		t.Error(left)
	}
	var numbers int
	var unique bool
	err := conn.QueryRow(t.Context(), `SELECT (SELECT count(DISTINCT number) FROM roomspa.messages),
		(SELECT indisunique FROM pg_index WHERE indexrelid = 'roomspa.users_phone_number'::regclass)`).Scan(&numbers, &unique)
	if err != nil || numbers != 30 || unique {
		t.Errorf("%d numbers, the index of phone numbers is unique: %v, %v", numbers, unique, err)
	}
	downTo(t, o, 14)
	execute(t, conn, "DELETE FROM roomspa.users WHERE id = 901")
	up()
	if _, err := heal.CreateUser(t.Context(), room.User{Phone: "+4 9 1", Role: room.Customer}, "-"); err == nil {
		t.Error("a second user has the number")
	}
}
