package world_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

var prepared atomic.Int32

func prepare(ctx context.Context, url string) error {
	prepared.Add(1)
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "CREATE TABLE word (w text PRIMARY KEY); INSERT INTO word VALUES ('prepared')")
	return err
}

func TestDatabaseIsPrivateAndPreparedOnce(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"first", "second", "third"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := connect(t, world.Database(t, prepare))
			if _, err := conn.Exec(t.Context(), "INSERT INTO word VALUES ('mine')"); err != nil {
				t.Fatal(err)
			}
			rows, err := conn.Query(t.Context(), "SELECT w FROM word ORDER BY w")
			if err != nil {
				t.Fatal(err)
			}
			words, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				t.Fatal(err)
			}
			if len(words) != 2 || words[0] != "mine" || words[1] != "prepared" {
				t.Errorf("words = %q, want one of the template and one of this test", words)
			}
			if n := prepared.Load(); n != 1 {
				t.Errorf("prepared %d times, want once", n)
			}
		})
	}
}

func TestDatabaseIsDroppedAtTheEndEvenWhileInUse(t *testing.T) {
	t.Parallel()
	outer := connect(t, world.Database(t, nil))
	var name string
	t.Run("inner", func(t *testing.T) {
		url := world.Database(t, nil)
		forgotten, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		name = forgotten.Config().Database
	})
	var there bool
	if err := outer.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&there); err != nil {
		t.Fatal(err)
	}
	if there {
		t.Errorf("database %s is still there after its test", name)
	}
}

func BenchmarkDatabase(b *testing.B) {
	connect(b, world.Database(b, prepare)) // the server and the template do not count
	b.ResetTimer()
	for range b.N {
		world.Database(b, prepare)
	}
}

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}
