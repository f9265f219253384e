package postgres_test

import (
	"crypto/rand"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestMain(m *testing.M) { world.Main(m) }

// eventually repeats try until it succeeds.
func eventually(t testing.TB, what string, try func() error) {
	t.Helper()
	world.Eventually(t, what, func() (bool, any) {
		err := try()
		return err == nil, err
	})
}

// database returns the URL of a private, migrated database.
func database(t testing.TB) string {
	t.Helper()
	return world.Database(t, world.Migrate)
}

// open returns a running DB. Timeouts that are not set are patient.
func open(t testing.TB, o postgres.Options) *postgres.DB {
	t.Helper()
	return openWith(t, o, prometheus.NewRegistry())
}

func openWith(t testing.TB, o postgres.Options, reg *prometheus.Registry) *postgres.DB {
	t.Helper()
	return world.OpenDB(t, o, slog.New(slog.NewTextHandler(t.Output(), nil)), reg)
}

// direct returns a connection beside any pool.
func direct(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	return (&world.World{DatabaseURL: url}).SQL(t)
}

func execute(t testing.TB, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// conversation returns that of customer n and therapist n+1.
func conversation(t testing.TB, db *postgres.DB, n int) room.ID {
	t.Helper()
	c, err := db.Conversation(t.Context(), room.Room{Customer: room.UserID(n), Therapist: room.UserID(n + 1)})
	if err != nil {
		t.Fatal(err)
	}
	return c.ID
}

func says(text, id string) room.Draft {
	return room.Draft{Sender: 1, SenderRole: room.Customer, Text: text, ClientMessageID: id}
}

// send appends, and fails the test if that fails.
func send(t testing.TB, db *postgres.DB, c room.ID, d room.Draft) (room.Message, bool) {
	t.Helper()
	m, duplicate, err := db.Append(t.Context(), c, d)
	if err != nil {
		t.Fatal(err)
	}
	return m, duplicate
}

// all returns the whole conversation.
func all(t testing.TB, db *postgres.DB, c room.ID) []room.Message {
	t.Helper()
	var msgs []room.Message
	for {
		next, more, err := db.After(t.Context(), c, int64(len(msgs)), 1000, mebibyte)
		if err != nil {
			t.Fatal(err)
		}
		if msgs = append(msgs, next...); !more {
			return msgs
		}
	}
}

// mebibyte is a size that pages of short messages do not reach.
const mebibyte = 1 << 20

// longText cannot be compressed.
func longText(n int) string {
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(rand.Text())
	}
	return b.String()
}
