package postgres_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

// lengths are the texts of a conversation: short and long ones, and one that no page holds.
var lengths = []int{10, 3000, 10, 3000, 3000, 9000, 10, 10, 3000, 3000, 10, 10}

// sized returns the number of messages of the next page, as its size allows.
func sized(lengths []int, limit, size int) (n int) {
	total := 0
	for _, l := range lengths[:min(limit, len(lengths))] {
		if total += l + 320; n > 0 && total > size {
			break
		}
		n++
	}
	return n
}

func TestPagesAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Options{URL: database(t)})
	c := conversation(t, db, 1)
	for _, n := range lengths {
		send(t, db, c, says(longText(n)[:n], ""))
	}
	backwards := slices.Clone(lengths)
	slices.Reverse(backwards)
	for _, size := range []int{1, 4000, 6700, mebibyte} {
		for _, limit := range []int{1, 3, 12, 100} {
			for at := 0; at < len(lengths); {
				msgs, more, err := db.After(t.Context(), c, int64(at), limit, size)
				n := sized(lengths[at:], limit, size)
				if err != nil || len(msgs) != n || msgs[0].Seq != int64(at+1) || more != (at+n < len(lengths) || n == limit) {
					t.Fatalf("after %d, limit %d, size %d: %s, more %v, want %d: %v", at, limit, size, seqs(msgs), more, n, err)
				}
				at += n
			}
			for at := 0; at < len(backwards); {
				before := len(backwards) - at + 1
				msgs, more, err := db.Before(t.Context(), c, int64(before), limit, size)
				n := sized(backwards[at:], limit, size)
				if err != nil || len(msgs) != n || msgs[n-1].Seq != int64(before-1) || more != (at+n < len(lengths)) {
					t.Fatalf("before %d, limit %d, size %d: %s, more %v, want %d: %v", before, limit, size, seqs(msgs), more, n, err)
				}
				at += n
			}
		}
	}
}

func TestSummariesAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Options{URL: database(t)})
	for i := range 5 {
		c, err := db.Conversation(t.Context(), room.Room{Customer: 1, Therapist: room.UserID(10 + i)}, 1)
		if err != nil {
			t.Fatal(err)
		}
		if i != 2 { // one is empty
			send(t, db, c.ID, says(longText(3000), ""))
		}
	}
	var behind *room.Place
	total := 0
	for more := true; more; {
		list, again, err := db.Summaries(t.Context(), 1, behind, 100, 7000)
		if err != nil || len(list) == 0 || len(list) > 3 {
			t.Fatalf("%d conversations, %v", len(list), err)
		}
		place := list[len(list)-1].Place()
		behind, more, total = &place, again, total+len(list)
	}
	if total != 5 {
		t.Errorf("the pages hold %d conversations", total)
	}
}

// TestAPageReadsAboutARowForEachMessage counts rows, not time.
func TestAPageReadsAboutARowForEachMessage(t *testing.T) {
	t.Parallel()
	url := database(t)
	c := conversation(t, open(t, postgres.Options{URL: url}), 1)
	conn := direct(t, url)
	execute(t, conn, `INSERT INTO roomspa.messages (conversation_id, seq, id, sender_id, sender_role, body, created_at)
		SELECT $1, i, gen_random_uuid(), 1, 'customer', $2 || i, now() FROM generate_series(1, 500) i`, c, longText(12_000))
	all := statements(t)
	for name, test := range map[string]struct {
		sql     string
		args    []any
		most    float64 // rows
		returns float64 // with the first one that does not fit
	}{
		"a page before":     {all["messagesBefore"], []any{c, 400, 201, 256 << 10}, 32, 22},
		"a page after":      {all["messagesAfter"], []any{[]room.ID{c}, []int64{100}, []int64{5}, []int64{48 << 10}}, 5, 4},
		"many pages after":  {all["messagesAfter"], []any{[]room.ID{c, c}, []int64{7, 9}, []int64{4, 4}, []int64{48 << 10, 48 << 10}}, 8, 8},
		"a short page":      {all["messagesBefore"], []any{c, 400, 11, 256 << 10}, 11, 11},
		"the end of a page": {all["messagesBefore"], []any{c, 4, 201, 256 << 10}, 3, 3},
	} {
		rows, _ := conn.Query(t.Context(), "EXPLAIN (ANALYZE, FORMAT JSON) "+test.sql, test.args...)
		text, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var plans []struct{ Plan plan }
		if err := json.Unmarshal([]byte(text), &plans); err != nil {
			t.Fatal(err)
		}
		if read := plans[0].Plan.scanned(); read > test.most || read == 0 || plans[0].Plan.Rows != test.returns {
			t.Errorf("%s: %v rows are read and %v returned, want %v and %v:\n%s", name, read, plans[0].Plan.Rows, test.most, test.returns, text)
		}
	}
}

// A plan is a node of the output of EXPLAIN.
type plan struct {
	Node  string  `json:"Node Type"`
	Table string  `json:"Relation Name"`
	Rows  float64 `json:"Actual Rows"`
	Loops float64 `json:"Actual Loops"`
	Plans []plan
}

// scanned returns the number of messages that a plan has read.
func (p plan) scanned() (n float64) {
	if strings.HasSuffix(p.Node, "Scan") && p.Table == "messages" {
		n = p.Rows * p.Loops
	}
	for _, child := range p.Plans {
		n += child.scanned()
	}
	return n
}
