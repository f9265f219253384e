package adopt_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/adopt"
)

// fixture holds the rows of a database of the predecessor, so that the tests need no Django.
const fixture = "testdata/django.sql"

func TestMain(m *testing.M) { world.Main(m) }

// A database holds roomspa's schema and Django's tables.
type database struct {
	url  string
	conn *pgx.Conn
}

// predecessor returns a database with the predecessor's tables and an empty schema roomspa.
func predecessor(t testing.TB, more ...string) *database {
	t.Helper()
	url := world.Database(t, migrated)
	d := &database{url: url, conn: connect(t, url)}
	d.exec(t, publicFirst)
	d.exec(t, more...)
	return d
}

func migrated(ctx context.Context, url string) error {
	sql, err := os.ReadFile(fixture)
	if err != nil {
		return err
	}
	if err := world.Migrate(ctx, url); err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, publicFirst+adopt.Tables+string(sql))
	return err
}

// publicFirst is for a user who is called roomspa like the schema.
const publicFirst = "SET search_path = public; "

func connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

func (d *database) exec(t testing.TB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := d.conn.Exec(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// rows returns the rows of a query, each as one line.
func (d *database) rows(t testing.TB, query string) (lines []string) {
	t.Helper()
	rows, err := d.conn.Query(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	lines, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		values, err := row.Values()
		var texts []string
		for _, v := range values {
			texts = append(texts, fmt.Sprint(v))
		}
		return strings.Join(texts, " "), err
	})
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return lines
}

func (d *database) expect(t testing.TB, query string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, d.rows(t, query)); diff != "" {
		t.Errorf("%s\n(-want +got):\n%s", query, diff)
	}
}

func (d *database) options(t testing.TB) adopt.Options {
	t.Helper()
	return adopt.Options{Database: postgres.Options{URL: d.url}, Batch: 3, Out: t.Output()}
}

// open opens an adoption with small batches.
func (d *database) open(t testing.TB, edit ...func(*adopt.Options)) *adopt.Adoption {
	t.Helper()
	o := d.options(t)
	for _, e := range edit {
		e(&o)
	}
	a, err := adopt.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(t.Context()) })
	return a
}

// apply runs a complete --apply.
func (d *database) apply(t testing.TB) {
	t.Helper()
	if writers, err := d.open(t).Apply(t.Context()); err != nil || len(writers) > 0 {
		t.Fatalf("writers %v, %v", writers, err)
	}
}

func (d *database) giveBack(t testing.TB) {
	t.Helper()
	if err := d.open(t).Return(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// verify returns the differences that --verify finds.
func (d *database) verify(t testing.TB) adopt.Comparison {
	t.Helper()
	c, err := d.open(t).Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (d *database) expectSame(t testing.TB) {
	t.Helper()
	if c := d.verify(t); len(c.Differences) > 0 || c.Rooms == 0 {
		t.Errorf("the two sides differ: %+v", c)
	}
}

// messages shows what roomspa has, without the random ids of conversations.
const messages = `
SELECT c.customer_id || '/' || c.therapist_id, m.seq, m.number, m.sender_id, m.sender_role, m.body,
	to_char(m.created_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI:SS.US'), coalesce(to_char(m.read_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI'), '-'),
	coalesce(m.message_type, 'text'), coalesce(m.metadata::text, '-')
FROM roomspa.messages m JOIN roomspa.conversations c ON c.id = m.conversation_id
ORDER BY c.customer_id, c.therapist_id, m.seq`

const conversations = `
SELECT customer_id || '/' || therapist_id, number, to_char(created_at AT TIME ZONE 'UTC', 'MM-DD HH24:MI') FROM roomspa.conversations ORDER BY 1`

const cursors = `
SELECT c.customer_id || '/' || c.therapist_id, k.user_id, k.delivered_seq, k.read_seq
FROM roomspa.cursors k JOIN roomspa.conversations c ON c.id = k.conversation_id ORDER BY 1, 2`
