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

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// TestALockedConversationFailsAlone lets 40 messages wait while a transaction is under way, so
// that they become one batch.
func TestALockedConversationFailsAlone(t *testing.T) {
	t.Parallel()
	url := database(t)
	setup, reg := open(t, postgres.Options{URL: url}), prometheus.NewRegistry()
	db := openWith(t, postgres.Options{URL: url, LockTimeout: 10 * time.Second, MaxConnections: 2}, reg) // so that there is one batch at a time
	locked, free, gate := conversation(t, setup, 1), conversation(t, setup, 3), conversation(t, setup, 5)
	conn, gatekeeper := direct(t, url), direct(t, url)
	lock := func(conn *pgx.Conn, c room.ID) {
		execute(t, conn, "BEGIN")
		execute(t, conn, "SELECT FROM roomspa.conversations WHERE id = $1 FOR UPDATE", c)
	}
	lock(conn, locked)
	lock(gatekeeper, gate)
	var wg sync.WaitGroup
	wg.Go(func() { _, _, _ = db.Append(t.Context(), gate, says("x", "")) })
	waitForLock(t, url)
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
	eventually(t, "all wait", func() error {
		if n := gauge(t, reg, "roomspa_commit_waiting_messages"); n != 40 {
			return fmt.Errorf("%v messages wait", n)
		}
		return nil
	})
	execute(t, gatekeeper, "ROLLBACK")
	wg.Wait()
	execute(t, conn, "ROLLBACK")
	if m, _ := send(t, db, locked, says("x", "")); m.Seq != 1 {
		t.Errorf("the first message has seq %d", m.Seq)
	}
}

// gauge returns the value of a gauge.
func gauge(t testing.TB, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

func TestAStatementTimeoutAndAPoolTimeoutDiffer(t *testing.T) {
	t.Parallel()
	url := database(t)
	c := conversation(t, open(t, postgres.Options{URL: url}), 1)
	one := open(t, postgres.Options{URL: url, MaxConnections: 1, AcquireTimeout: time.Second})
	short := open(t, postgres.Options{URL: url, StatementTimeout: time.Second})
	for _, db := range []*postgres.DB{one, short} { // before the lock, which would keep a new connection from warming up
		eventually(t, "connect", func() error { _, err := db.Probe(t.Context()); return err })
	}
	conn := direct(t, url)
	execute(t, conn, "BEGIN")
	execute(t, conn, "LOCK TABLE roomspa.messages")
	result := make(chan error)
	go func() {
		for {
			_, _, err := one.Before(t.Context(), c, 0, 10, mebibyte)
			if postgres.Cause(err) == "pool_timeout" || postgres.Cause(err) == "stalled" {
				continue // the connection that has just been used is not idle yet
			}
			result <- err
			return
		}
	}()
	waitForLock(t, url)
	if _, err := one.Tails(t.Context(), time.Minute); postgres.Cause(err) != "pool_timeout" {
		t.Errorf("with the only connection in use: %v", err)
	}
	if _, _, err := short.Before(t.Context(), c, 0, 10, mebibyte); postgres.Cause(err) != "statement_timeout" || !errors.Is(err, room.ErrUnavailable) {
		t.Errorf("behind a lock for long: %v", err)
	}
	_, _, err := short.Append(t.Context(), c, says("x", ""))
	if postgres.Cause(err) != "statement_timeout" || errors.Is(err, room.ErrOutcomeUnknown) {
		t.Errorf("a statement that was ended has changed nothing: %v", err)
	}
	execute(t, conn, "ROLLBACK")
	if err := <-result; err != nil {
		t.Error(err)
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
			"57P01": "shutting_down", "57P03": "starting", "40P01": "deadlock", "42501": "foreign_trigger",
			"42P01": "foreign_trigger", "55P03": "lock_timeout", "57014": "statement_timeout", "XX000": "foreign_trigger",
		} {
			_, _, err := db.Append(t.Context(), c, says(code, ""))
			if postgres.Cause(err) != want || !errors.Is(err, room.ErrUnavailable) || errors.Is(err, room.ErrOutcomeUnknown) {
				t.Errorf("%s: %v", code, err)
			}
			if word := cause.Of(err); cause.Cure(word) == "" || !strings.HasSuffix(word, want) && word != "postgres_locked" {
				t.Errorf("%s: the word is %q, and there is no cure for it", code, word)
			}
		}
		if _, _, err := db.Append(t.Context(), c, says("22003", "")); postgres.Cause(err) != "foreign_trigger" || errors.Is(err, room.ErrUnavailable) {
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
	c := conversation(t, open(t, postgres.Options{URL: url}), 1)
	db := open(t, postgres.Options{URL: url, AcquireTimeout: time.Second}) // the pool is reset that often
	conn := direct(t, url)
	set := func(to string) {
		execute(t, conn, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = `+to+`', current_database()); END $$`)
	}
	end := func() {
		execute(t, conn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	}
	set("on")
	end()
	eventually(t, "the pool notices", func() error { _, err := db.Users(t.Context(), nil); return err })
	isReadOnly := func(err error) error {
		if postgres.Cause(err) == "read_only" && errors.Is(err, room.ErrUnavailable) && !errors.Is(err, room.ErrOutcomeUnknown) {
			return nil
		}
		return fmt.Errorf("want the cause read_only: %w", err)
	}
	eventually(t, "Append", func() error { _, _, err := db.Append(t.Context(), c, says("x", "")); return isReadOnly(err) })
	eventually(t, "Probe", func() error {
		s, err := db.Probe(t.Context())
		if !s.ReadOnly {
			return fmt.Errorf("it is not read-only: %w", err)
		}
		return isReadOnly(err)
	})
	eventually(t, "reading", func() error { _, _, err := db.Before(t.Context(), c, 0, 1, mebibyte); return err })
	execute(t, conn, "SET default_transaction_read_only = off")
	set("off") // and no connection is ended: the pool makes new ones by itself
	eventually(t, "Append", func() error { _, _, err := db.Append(t.Context(), c, says("x", "")); return err })
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
	db, err := postgres.Open(t.Context(), world.Patient(postgres.Options{URL: url}), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
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
