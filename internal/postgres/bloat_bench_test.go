package postgres_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// BenchmarkBloat stores messages, receipts and heartbeats for a minute (ROOMSPA_BENCH_SOAK for longer), with autovacuum as it
// is by default. It reports for each table that is updated the share of updates that left the indexes alone (HOT), and how
// many times as large the table and its indexes are as they have to be.
func BenchmarkBloat(b *testing.B) {
	soak := time.Minute
	if text := os.Getenv("ROOMSPA_BENCH_SOAK"); text != "" {
		var err error
		if soak, err = time.ParseDuration(text); err != nil {
			b.Fatal(err)
		}
	}
	url := world.StartPostgres(b, map[string]string{"autovacuum": "on", "fsync": "on", "full_page_writes": "on", "shared_buffers": "128MB"}).URL("postgres")
	if err := world.Migrate(b.Context(), url); err != nil {
		b.Fatal(err)
	}
	db, conn := open(b, postgres.Options{URL: url}), direct(b, url)
	var rooms [2000]room.ID
	for i := range rooms {
		rooms[i] = conversation(b, db, 1+2*i)
	}
	for b.Loop() {
		wear(b, db, rooms[:], soak)
		for _, table := range []string{"messages", "cursors", "conversations", "deployment", "replicas"} {
			before := sizes(b, conn, table)
			execute(b, conn, "VACUUM FULL roomspa."+table)
			after := sizes(b, conn, table)
			if before.updates > 0 {
				b.ReportMetric(100*before.hot/before.updates, table+"-HOT-%")
			}
			b.ReportMetric(before.heap/after.heap, table+"-heap-ratio")
			b.ReportMetric(before.indexes/after.indexes, table+"-index-ratio")
			b.Logf("%s: %.0f updates, heap %.0f kB, indexes %.0f kB", table, before.updates, before.heap/1024, before.indexes/1024)
		}
	}
}

// wear uses a database like a few replicas.
func wear(b *testing.B, db *postgres.DB, rooms []room.ID, soak time.Duration) {
	b.Helper()
	end := time.Now().Add(soak)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for time.Now().Before(end) {
				n := rand.IntN(len(rooms))
				customer := room.UserID(1 + 2*n)
				m, _, err := db.Append(b.Context(), rooms[n], room.Draft{Sender: customer, SenderRole: room.Customer, Text: "Good morning, I am on my way."})
				if err == nil {
					_, err = db.AdvanceCursors(b.Context(), []room.Receipt{
						{Conversation: rooms[n], User: customer, Cursor: room.Cursor{Delivered: m.Seq, Read: m.Seq}},
						{Conversation: rooms[n], User: customer + 1, Cursor: room.Cursor{Delivered: m.Seq, Read: m.Seq}},
					})
				}
				if err != nil {
					b.Error(err)
					return
				}
				if i == 0 {
					beat := room.Heartbeat{ID: fmt.Sprint("replica-", rand.IntN(20)), Replica: "r", AcceptedKeys: []string{}, Version: "v"}
					if _, _, err := db.Heartbeat(b.Context(), beat, time.Minute); err != nil {
						b.Error(err)
						return
					}
				}
			}
		})
	}
	all.Wait()
}

type tableSizes struct{ updates, hot, heap, indexes float64 }

func sizes(b *testing.B, conn *pgx.Conn, table string) (s tableSizes) {
	b.Helper()
	if err := conn.QueryRow(b.Context(), `
		SELECT coalesce(n_tup_upd, 0), coalesce(n_tup_hot_upd, 0), pg_relation_size(relid), pg_indexes_size(relid)
		FROM pg_stat_user_tables WHERE schemaname = 'roomspa' AND relname = $1`, table).Scan(&s.updates, &s.hot, &s.heap, &s.indexes); err != nil {
		b.Fatal(err)
	}
	return s
}
