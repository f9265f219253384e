package postgres_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

// grownEnv is the variable for the number of messages in the largest table of BenchmarkTableSize.
const grownEnv = "ROOMSPA_BENCH_MESSAGES"

const (
	perConversation = 10  // messages
	perTherapist    = 100 // conversations
	firstTherapist  = 1_000_000_000
)

// BenchmarkTableSize measures what calls take in small and in large tables, with a message and the last of
// many conversations at random, and checks the plans of all statements there. A call that reads by key takes
// a little longer in a deeper index; it is an error if a call takes several times as long. 10 million
// messages take some minutes and 6 GB of disk until the end: ROOMSPA_BENCH_MESSAGES=10000000.
func BenchmarkTableSize(b *testing.B) {
	largest := 1_000_000
	if text := os.Getenv(grownEnv); text != "" {
		var err error
		if largest, err = strconv.Atoi(text); err != nil || largest < 1_000_000 {
			b.Fatalf("%s must be a number of 1000000 or more", grownEnv)
		}
	}
	small := map[string]float64{}
	for _, messages := range []int{100_000, largest} {
		b.Run(fmt.Sprintf("messages=%d", messages), func(b *testing.B) {
			url := database(b)
			conn := direct(b, url)
			g := grow(b, conn, messages/perConversation)
			if n := checkPlans(b, conn); n < 15 {
				b.Fatalf("found only %d statements", n)
			}
			db := open(b, postgres.Options{URL: url})
			for b.Loop() {
				for name, micros := range g.measure(b, db) {
					b.ReportMetric(micros, name+"-us")
					b.Logf("%s: %.0f µs", name, micros)
					if before, known := small[name]; !known {
						small[name] = micros
					} else if micros > 8*before+1000 {
						b.Errorf("%s takes %.0f µs, and %.0f µs with 100,000 messages", name, micros, before)
					}
				}
			}
		})
	}
}

// A grown database has many conversations of ten messages each.
type grown struct {
	conversations int
	ids           []room.ID // some of them
}

// grow fills a database. Its indexes are made afterwards, which takes a fraction of the time. The messages
// are in the order of a year in which all conversations went on. Of one conversation in a hundred the first
// messages are years old.
func grow(b *testing.B, conn *pgx.Conn, conversations int) *grown {
	b.Helper()
	began := time.Now()
	for _, sql := range []string{
		`INSERT INTO roomspa.users (id, email, phone, role, password)
			SELECT n, 'customer' || n || '@example.com', '+49 170 ' || n, 'customer', '!' FROM generate_series(1, %[1]d) n
			UNION ALL SELECT %[2]d + n, 'therapist' || n || '@example.com', NULL, 'therapist', '!' FROM generate_series(0, %[1]d / %[3]d) n`,
		`INSERT INTO roomspa.user_facts (user_id, tokens_valid_after) SELECT n, now() - interval '1 year' FROM generate_series(1, %[1]d, 10) n`,
		`INSERT INTO roomspa.refresh_families (family, user_id, current, issued_at, expires_at)
			SELECT md5(n::text), n, md5(n::text), now(), now() + interval '1 day' FROM generate_series(1, %[1]d) n`,
		`INSERT INTO roomspa.erasures (user_id, began_at, finished_at) SELECT 2 * %[2]d + n, now() - interval '1 year', now() - interval '1 year' FROM generate_series(1, %[1]d, 10) n`,
		`INSERT INTO roomspa.conversations (customer_id, therapist_id, created_at)
			SELECT n, %[2]d + n / %[3]d, now() - interval '365 days' FROM generate_series(1, %[1]d) n`,
		`INSERT INTO roomspa.blocks (blocker_id, blocked_id, active, changed_at)
			SELECT customer_id, therapist_id, true, now() - interval '1 year' FROM roomspa.conversations WHERE customer_id % 10 = 5`,
		`INSERT INTO roomspa.reports (reporter_id, conversation_id, reason, created_at, closed_at)
			SELECT customer_id, id, 'spam', now() - interval '1 year', now() - interval '1 year' FROM roomspa.conversations WHERE customer_id % 10 = 5`,
		`CREATE TEMPORARY TABLE later (sql text)`, dropIndexes,
		`INSERT INTO roomspa.messages (conversation_id, seq, id, sender_id, sender_role, client_message_id, body, created_at)
			SELECT c.id, seq, (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(c.id::text || seq), 14))::uuid,
				CASE WHEN seq %% 2 = 1 THEN c.customer_id ELSE c.therapist_id END, CASE WHEN seq %% 2 = 1 THEN 'customer' ELSE 'therapist' END,
				substr(md5(seq::text || c.id), 1, 22), 'Good morning, I am on my way and will be there in about ten minutes.', at
			FROM generate_series(1, %[4]d) seq CROSS JOIN roomspa.conversations c CROSS JOIN LATERAL (
				SELECT CASE WHEN c.customer_id %% 100 = 0 AND seq <= 2 THEN now() - interval '3 years'
					ELSE now() - interval '1 hour' - (%[4]d - seq) * interval '36 days' - (c.customer_id %% 86400) * interval '1 second' END
			) t (at)`,
		`INSERT INTO roomspa.cursors (conversation_id, user_id, delivered_seq, read_seq, changed_at)
			SELECT c.id, u, 10, 5, now() - (c.customer_id % 86400) * interval '5 minutes' - interval '1 hour'
			FROM roomspa.conversations c CROSS JOIN LATERAL unnest(ARRAY[c.customer_id, c.therapist_id]) u`,
		makeIndexes, "VACUUM ANALYZE",
	} {
		if strings.Contains(sql, "%[") {
			sql = fmt.Sprintf(sql, conversations, firstTherapist, perTherapist, perConversation)
		}
		execute(b, conn, sql)
	}
	rows, _ := conn.Query(b.Context(), "SELECT id FROM roomspa.conversations WHERE customer_id % $1 = 1", max(1, conversations/1000))
	ids, err := pgx.CollectRows(rows, pgx.RowTo[room.ID])
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("%d conversations made in %s", conversations, time.Since(began).Round(time.Second))
	if len(ids) > 1000 {
		ids = ids[:1000]
	}
	return &grown{conversations, ids}
}

// dropIndexes drops the indexes of messages, and keeps how to make them.
const dropIndexes = `
DO $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT conname, pg_get_constraintdef(oid) AS def FROM pg_constraint WHERE conrelid = 'roomspa.messages'::regclass AND contype IN ('p', 'u') LOOP
		INSERT INTO later VALUES (format('ALTER TABLE roomspa.messages ADD CONSTRAINT %I %s', r.conname, r.def));
		EXECUTE format('ALTER TABLE roomspa.messages DROP CONSTRAINT %I', r.conname);
	END LOOP;
	FOR r IN SELECT indexrelid::regclass AS name, pg_get_indexdef(indexrelid) AS def FROM pg_index WHERE indrelid = 'roomspa.messages'::regclass LOOP
		INSERT INTO later VALUES (r.def);
		EXECUTE format('DROP INDEX %s', r.name);
	END LOOP;
END
$$`

const makeIndexes = `
DO $$
DECLARE
	r record;
BEGIN
	SET LOCAL maintenance_work_mem = '512MB';
	FOR r IN SELECT sql FROM later LOOP
		EXECUTE r.sql;
	END LOOP;
END
$$`

// measure returns the median duration in microseconds of each call. That of retention is the one of
// 1,000 conversations of which ten have old messages.
func (g *grown) measure(b *testing.B, db *postgres.DB) map[string]float64 {
	b.Helper()
	ctx := b.Context()
	users := func() (customer, therapist room.UserID) {
		n := 1 + rand.IntN(g.conversations)
		return room.UserID(n), room.UserID(firstTherapist + n/perTherapist)
	}
	results := map[string]float64{}
	for _, c := range []struct {
		name string
		call func(id room.ID, customer, therapist room.UserID) error
	}{
		{"append", func(id room.ID, customer, _ room.UserID) error {
			_, _, err := db.Append(ctx, id, room.Draft{Sender: customer, SenderRole: room.Customer, Text: "Good morning."})
			return err
		}},
		{"open", func(_ room.ID, customer, therapist room.UserID) error {
			_, err := db.Conversation(ctx, room.Room{Customer: customer, Therapist: therapist}, customer)
			return err
		}},
		{"catch-up", func(id room.ID, _, _ room.UserID) error { _, _, err := db.After(ctx, id, 5, 100, mebibyte); return err }},
		{"history", func(id room.ID, _, _ room.UserID) error { _, _, err := db.Before(ctx, id, 0, 50, mebibyte); return err }},
		{"unread", func(_ room.ID, _, therapist room.UserID) error { _, err := db.Unread(ctx, therapist); return err }},
		{"inbox", func(_ room.ID, _, therapist room.UserID) error {
			_, _, err := db.Summaries(ctx, therapist, nil, 50, mebibyte)
			return err
		}},
		{"receipt", func(id room.ID, customer, _ room.UserID) error {
			_, err := db.AdvanceCursors(ctx, []room.Receipt{{Conversation: id, User: customer, Cursor: room.Cursor{Delivered: 10, Read: 5 + rand.Int64N(5)}}})
			return err
		}},
		{"sweep", func(room.ID, room.UserID, room.UserID) error { _, err := db.Tails(ctx, time.Minute); return err }},
		{"cursors-sweep", func(room.ID, room.UserID, room.UserID) error {
			_, err := db.ChangedCursors(ctx, time.Minute)
			return err
		}},
		{"erase-customer", func(_ room.ID, customer, _ room.UserID) error { _, err := db.EraseUser(ctx, customer); return err }},
	} {
		var took []time.Duration
		for range 200 {
			customer, therapist := users()
			id := g.ids[rand.IntN(len(g.ids))]
			began := time.Now()
			if err := c.call(id, customer, therapist); err != nil {
				b.Fatalf("%s: %v", c.name, err)
			}
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		results[c.name] = float64(took[len(took)/2].Nanoseconds()) / 1000
	}
	began := time.Now()
	done, err := db.DeleteMessages(ctx, 2*365*24*time.Hour, nil)
	if err != nil || done.Deleted < int64(g.conversations)/60 {
		b.Fatalf("retention: %+v: %v", done, err)
	}
	results["retention-of-1000"] = float64(time.Since(began).Microseconds()) / float64(g.conversations) * 1000
	return results
}
