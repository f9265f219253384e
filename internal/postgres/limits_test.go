package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/cause"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

func TestALockedConversationFailsAlone(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, postgres.Options{URL: url, LockTimeout: 200 * time.Millisecond})
	locked := conversation(t, db, 1)
	free := conversation(t, db, 3)
	for n := 5; free[15]%4 != locked[15]%4; n += 2 { // of the same committer
		free = conversation(t, db, n)
	}
	conn := direct(t, url)
	execute(t, conn, "BEGIN")
	execute(t, conn, "SELECT FROM roomspa.conversations WHERE id = $1 FOR UPDATE", locked)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			_, _, err := db.Append(t.Context(), locked, says("x", fmt.Sprint(i)))
			if postgres.Cause(err) != "lock_timeout" || !errors.Is(err, room.ErrUnavailable) || errors.Is(err, room.ErrOutcomeUnknown) {
				t.Errorf("locked: %v", err)
			}
		})
		wg.Go(func() {
			if _, _, err := db.Append(t.Context(), free, says("x", fmt.Sprint(i))); err != nil {
				t.Errorf("free: %v", err)
			}
		})
	}
	wg.Wait()
	execute(t, conn, "ROLLBACK")
	if m, _ := send(t, db, locked, says("x", "")); m.Seq != 1 {
		t.Errorf("the first message has seq %d", m.Seq)
	}
}

func TestTimeoutsAreToldApart(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, postgres.Options{
		URL: url, MaxConnections: 1, AcquireTimeout: 300 * time.Millisecond,
		StatementTimeout: 2 * time.Second, LockTimeout: 10 * time.Second,
	})
	c := conversation(t, db, 1)
	conn := direct(t, url)
	execute(t, conn, "BEGIN")
	execute(t, conn, "LOCK TABLE roomspa.messages")
	result := make(chan error)
	go func() {
		_, _, err := db.Before(t.Context(), c, 0, 10)
		result <- err
	}()
	waitForLock(t, url)
	if _, err := db.Tails(t.Context(), time.Minute); postgres.Cause(err) != "pool_timeout" {
		t.Errorf("with the only connection in use: %v", err)
	}
	if err := <-result; postgres.Cause(err) != "statement_timeout" || !errors.Is(err, room.ErrUnavailable) {
		t.Errorf("behind a lock for long: %v", err)
	}
	_, _, err := db.Append(t.Context(), c, says("x", ""))
	if postgres.Cause(err) != "statement_timeout" || errors.Is(err, room.ErrOutcomeUnknown) {
		t.Errorf("a statement that was ended has changed nothing: %v", err)
	}
}

// TestWhatTheServerSays lets a trigger speak for servers that are hard to bring about.
func TestWhatTheServerSays(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, postgres.Options{URL: url})
	c := conversation(t, db, 1)
	conn := direct(t, url)
	execute(t, conn, `
CREATE FUNCTION public.say() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.body <> 'fine' THEN RAISE EXCEPTION 'said so' USING ERRCODE = NEW.body; END IF;
	RETURN NEW;
END $$`)
	for _, when := range []string{
		"CREATE TRIGGER say BEFORE INSERT ON roomspa.messages FOR EACH ROW EXECUTE FUNCTION public.say()",
		`DROP TRIGGER say ON roomspa.messages; CREATE CONSTRAINT TRIGGER say AFTER INSERT ON roomspa.messages
			DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.say()`, // fails at the commit
	} {
		execute(t, conn, when)
		for code, want := range map[string]string{
			"53100": "disk_full", "53200": "out_of_memory", "53300": "too_many_connections", "25006": "read_only",
			"57P01": "shutting_down", "57P03": "starting", "40P01": "deadlock", "42501": "permission_denied",
			"42P01": "schema_missing", "55P03": "lock_timeout", "57014": "statement_timeout", "XX000": "other",
		} {
			_, _, err := db.Append(t.Context(), c, says(code, ""))
			if postgres.Cause(err) != want || !errors.Is(err, room.ErrUnavailable) || errors.Is(err, room.ErrOutcomeUnknown) {
				t.Errorf("%s: %v", code, err)
			}
			if word := cause.Of(err); cause.Cure(word) == "" || !strings.HasSuffix(word, want) && word != "postgres_locked" {
				t.Errorf("%s: the word is %q, and there is no cure for it", code, word)
			}
		}
		if _, _, err := db.Append(t.Context(), c, says("22003", "")); postgres.Cause(err) != "rejected" || errors.Is(err, room.ErrUnavailable) {
			t.Errorf("a bad value: %v", err)
		}
	}
	if m, _ := send(t, db, c, says("fine", "")); m.Seq != 1 {
		t.Errorf("seq is %d after nothing but failures", m.Seq)
	}
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, postgres.Options{URL: url, AcquireTimeout: time.Second})
	c := conversation(t, db, 1)
	conn := direct(t, url)
	set := func(to string) {
		execute(t, conn, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = `+to+`', current_database()); END $$`)
	}
	end := func() {
		execute(t, conn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	}
	set("on")
	end()
	for { // until the pool has noticed
		if _, err := db.Users(t.Context(), nil); err == nil {
			break
		}
	}
	_, _, err := db.Append(t.Context(), c, says("x", ""))
	if postgres.Cause(err) != "read_only" || !errors.Is(err, room.ErrUnavailable) || errors.Is(err, room.ErrOutcomeUnknown) {
		t.Errorf("Append: %v", err)
	}
	if s, err := db.Probe(t.Context()); postgres.Cause(err) != "read_only" || !s.ReadOnly {
		t.Errorf("Probe: %v", err)
	}
	if _, _, err := db.Before(t.Context(), c, 0, 1); err != nil {
		t.Errorf("reading: %v", err)
	}
	execute(t, conn, "SET default_transaction_read_only = off")
	set("off") // and no connection is ended: the pool makes new ones by itself
	for deadline := time.Now().Add(20 * time.Second); ; {
		_, _, err := db.Append(t.Context(), c, says("x", ""))
		if err == nil {
			break
		}
		if postgres.Cause(err) != "read_only" || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestAFullQueueRefusesAtOnce(t *testing.T) {
	t.Parallel()
	db, err := postgres.Open(t.Context(), postgres.Options{URL: database(t)}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for n := 0; ; n++ { // nobody runs it: what callers leave behind stays
		_, _, err := db.Append(gone, room.ID{}, says("x", ""))
		if postgres.Cause(err) == "queue_full" {
			if !errors.Is(err, room.ErrUnavailable) || errors.Is(err, room.ErrOutcomeUnknown) {
				t.Error(err)
			}
			return
		}
		if !errors.Is(err, room.ErrOutcomeUnknown) || n > 100_000 {
			t.Fatalf("call %d: %v", n, err)
		}
	}
}

func TestWhatWaitsIsCommittedAtTheEnd(t *testing.T) {
	t.Parallel()
	url := database(t)
	setup := open(t, postgres.Options{URL: url})
	c := conversation(t, setup, 1)
	db, err := postgres.Open(t.Context(), postgres.Options{URL: url}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 {
		_, _, _ = db.Append(gone, c, says("x", ""))
	}
	db.Run(gone)
	if n := len(all(t, setup, c)); n != 50 {
		t.Errorf("%d of 50 are stored", n)
	}
	if _, _, err := db.Append(t.Context(), c, says("x", "")); postgres.Cause(err) != "stopped" {
		t.Errorf("after Run: %v", err)
	}
	db.Close()
	if _, err := db.Probe(t.Context()); postgres.Cause(err) != "stopped" {
		t.Errorf("after Close: %v", err)
	}
}
