package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// TestTimesAndNumbersGrowWithSeq also sets the clock back: the last message is of the future.
func TestTimesAndNumbersGrowWithSeq(t *testing.T) {
	t.Parallel()
	url := database(t)
	db, sql := open(t, postgres.Options{URL: url}), direct(t, url)
	c := conversation(t, db, 1)
	var appended []room.Message
	for range 2 {
		for range 3 {
			m, _ := send(t, db, c, says("one by one", ""))
			appended = append(appended, m)
		}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 100 { // in batches
			wg.Go(func() {
				m, _, err := db.Append(t.Context(), c, says("together", ""))
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				appended = append(appended, m)
			})
		}
		wg.Wait()
		execute(t, sql, "UPDATE roomspa.messages SET created_at = created_at + interval '1 hour' WHERE seq = $1", len(appended))
	}
	stored, future := all(t, db, c), 0
	for i, m := range stored[1:] {
		if before := stored[i]; !m.At.After(before.At) || m.Number <= before.Number || m.Number < 1 {
			t.Errorf("seq %d has number %d and time %v, after %d and %v", m.Seq, m.Number, m.At, before.Number, before.At)
		}
		if time.Until(m.At) > 30*time.Minute {
			future++
		}
	}
	if future != 104 {
		t.Errorf("%d messages are of the future", future)
	}
	for _, m := range appended {
		if m.Seq%103 == 0 {
			continue // its time was changed
		}
		if diff := cmp.Diff(stored[m.Seq-1], m); diff != "" {
			t.Fatalf("stored and appended differ:\n%s", diff)
		}
	}
}

func TestWhatIsNotNumberedYetHasTheNumberZero(t *testing.T) {
	t.Parallel()
	url := database(t)
	db, sql := open(t, postgres.Options{URL: url}), direct(t, url)
	c := conversation(t, db, 1)
	send(t, db, c, says("x", "1"))
	execute(t, sql, "UPDATE roomspa.messages SET number = NULL")
	execute(t, sql, "UPDATE roomspa.conversations SET number = NULL")
	m, duplicate := send(t, db, c, says("x", "1"))
	if !duplicate || m.Number != 0 {
		t.Errorf("a duplicate: %+v", m)
	}
	after, _, err := db.After(t.Context(), c, 0, 10, mebibyte)
	if err != nil || len(after) != 1 || after[0] != m {
		t.Errorf("%+v, %v", after, err)
	}
	list, _, err := db.Summaries(t.Context(), 1, nil, 10, mebibyte)
	if err != nil || len(list) != 1 || *list[0].Last != m {
		t.Errorf("%+v, %v", list, err)
	}
	got, err := db.Conversation(t.Context(), room.Room{Customer: 1, Therapist: 2}, 1)
	if err != nil || got.ID != c || got.Number != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}

// before10 returns a database with the schema 9 and 11,000 messages in 60 conversations. Ten
// messages of a conversation have the same millisecond.
func before10(t *testing.T) (url string) {
	t.Helper()
	return world.Database(t, func(ctx context.Context, url string) error {
		if err := world.Migrate(ctx, url); err != nil {
			return err
		}
		o := world.Patient(postgres.Options{URL: url})
		for {
			undone, err := postgres.MigrateDown(ctx, o, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			if undone[0].Version == 10 {
				break
			}
		}
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, `
			INSERT INTO roomspa.conversations (customer_id, therapist_id) SELECT 2 * n - 1, 2 * n FROM generate_series(1, 1000) n;
			INSERT INTO roomspa.messages (conversation_id, seq, id, sender_id, sender_role, body, created_at)
			SELECT c.id, n, (lpad(to_hex(n / 10 + 1700000000000), 12, '0') || '7abc8' || substr(md5(random()::text), 1, 15))::uuid,
				c.customer_id, 'customer', 'x', to_timestamp((n / 10 + 1700000000000) / 1000.0)
			FROM roomspa.conversations c, generate_series(1, 183) n WHERE c.customer_id < 120`)
		return err
	})
}

// checkNumbers checks what migration 10 has made of at least so many messages.
func checkNumbers(t *testing.T, url string, messages int) {
	t.Helper()
	sql := direct(t, url)
	for query, want := range map[string]string{
		"SELECT (count(*) >= " + fmt.Sprint(messages) + ")::text FROM roomspa.messages": "true",
		"SELECT count(*)::text FROM roomspa.messages WHERE number IS NULL":              "0",
		"SELECT count(*)::text FROM roomspa.conversations WHERE number IS NULL":         "0",
		"SELECT count(DISTINCT number)::text FROM roomspa.conversations":                "1000",
		`SELECT count(*)::text FROM (
			SELECT number, lag(number) OVER (PARTITION BY conversation_id ORDER BY seq) AS before FROM roomspa.messages
		) m WHERE number <= before`: "0",
		`SELECT count(*)::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
			WHERE c.relname IN ('messages_number', 'conversations_number') AND i.indisvalid AND i.indisunique`: "1",
		"SELECT coalesce(to_regclass('roomspa.numbers_of_old_messages')::text, 'gone')": "gone",
	} {
		var got string
		if err := sql.QueryRow(t.Context(), query).Scan(&got); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", query, got, err, want)
		}
	}
}

// TestMigration10ContinuesAfterEachStep is killed after each of them, and before the number of
// the schema is stored.
func TestMigration10ContinuesAfterEachStep(t *testing.T) {
	t.Parallel()
	steps := statementsOf(t, "migrations/00010_numbers.sql")
	for done := range len(steps) + 1 {
		t.Run(fmt.Sprint(done), func(t *testing.T) {
			t.Parallel()
			url := before10(t)
			sql := direct(t, url)
			for _, step := range steps[:done] {
				execute(t, sql, step)
			}
			if err := world.Migrate(t.Context(), url); err != nil {
				t.Fatal(err)
			}
			checkNumbers(t, url, 60*183)
		})
	}
}

// statementsOf returns the statements of a migration up.
func statementsOf(t *testing.T, file string) (list []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, up, _ := strings.Cut(string(text), "-- +goose Up")
	up, _, _ = strings.Cut(up, "-- +goose Down")
	statement, block := "", false
	for line := range strings.Lines(up) {
		switch {
		case strings.HasPrefix(line, "-- +goose StatementBegin"):
			block = true
		case strings.HasPrefix(line, "-- +goose StatementEnd"), !block && strings.HasSuffix(line, ";\n"):
			if !block {
				statement += line
			}
			list, statement, block = append(list, statement), "", false
		case !strings.HasPrefix(line, "--"):
			statement += line
		}
	}
	if len(list) < 7 {
		t.Fatalf("only %d statements: %q", len(list), list)
	}
	return list
}

// insertOf9 is an insert of a binary of schema 9.
const insertOf9 = `
WITH c AS MATERIALIZED (SELECT id FROM roomspa.conversations WHERE customer_id = $1 FOR UPDATE)
INSERT INTO roomspa.messages (conversation_id, seq, id, sender_id, sender_role, body, created_at)
SELECT c.id, 1 + (SELECT max(seq) FROM roomspa.messages m WHERE m.conversation_id = c.id),
	(lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') || '7abc8' || substr(md5(random()::text), 1, 15))::uuid,
	$1, 'customer', 'new', date_trunc('milliseconds', now())
FROM c`

// TestMigration10IsKilledWhileOthersInsert kills the server's side of it, which ends it on both.
func TestMigration10IsKilledWhileOthersInsert(t *testing.T) {
	t.Parallel()
	url := before10(t)
	killer := direct(t, url)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	inserted := 0
	wg.Go(func() {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close(context.WithoutCancel(ctx))
		for ; ctx.Err() == nil; inserted++ {
			if _, err := conn.Exec(t.Context(), insertOf9, 1+2*(inserted%60)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	kills := 0
	wg.Go(func() {
		for kills < 5 && ctx.Err() == nil {
			var n int
			err := killer.QueryRow(ctx, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
				WHERE datname = current_database() AND state = 'active' AND (query LIKE 'DO $$%' OR query LIKE 'CREATE UNIQUE%')`).Scan(&n)
			if err != nil {
				return
			}
			kills += n
		}
	})
	world.Eventually(t, "a migration succeeds", func() (bool, any) {
		err := world.Migrate(t.Context(), url)
		return err == nil, err
	})
	stop()
	wg.Wait()
	t.Logf("%d kills, %d inserted", kills, inserted)
	if kills == 0 || inserted == 0 {
		t.Errorf("%d kills, %d inserted", kills, inserted)
	}
	checkNumbers(t, url, 60*183+inserted)
}
