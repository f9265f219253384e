package postgres_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

func cursor(delivered, read int64) room.Cursor { return room.Cursor{Delivered: delivered, Read: read} }

// advance stores one receipt.
func advance(t testing.TB, db *postgres.DB, c room.ID, user room.UserID, to room.Cursor) room.Advance {
	t.Helper()
	got, err := db.AdvanceCursors(t.Context(), []room.Receipt{{Conversation: c, User: user, Cursor: to}})
	if err != nil {
		t.Fatal(err)
	}
	return got[0]
}

func TestCursorsOnlyGrow(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Options{URL: database(t)})
	c := conversation(t, db, 1)
	for range 5 {
		send(t, db, c, says("x", ""))
	}
	for _, step := range []struct{ mark, want room.Advance }{
		{room.Advance{Cursor: cursor(3, 1)}, room.Advance{Cursor: cursor(3, 1), LastSeq: 5, Grown: true}},
		{room.Advance{Cursor: cursor(2, 2)}, room.Advance{Cursor: cursor(3, 2), LastSeq: 5, Grown: true}},
		{room.Advance{Cursor: cursor(3, 1)}, room.Advance{Cursor: cursor(3, 2), LastSeq: 5}},
		{room.Advance{Cursor: cursor(6, 0)}, room.Advance{Cursor: cursor(3, 2), LastSeq: 5}}, // beyond
		{room.Advance{Cursor: cursor(5, 5)}, room.Advance{Cursor: cursor(5, 5), LastSeq: 5, Grown: true}},
	} {
		if got := advance(t, db, c, 1, step.mark.Cursor); got != step.want {
			t.Errorf("%+v becomes %+v, want %+v", step.mark.Cursor, got, step.want)
		}
	}
	if got := advance(t, db, room.ID{9}, 1, cursor(1, 0)); got != (room.Advance{}) {
		t.Errorf("in a conversation that does not exist: %+v", got)
	}
}

func TestReplicasAdvanceCursorsAtTheSameTime(t *testing.T) {
	t.Parallel()
	url := database(t)
	replicas := []*postgres.DB{open(t, postgres.Options{URL: url}), open(t, postgres.Options{URL: url})}
	const rooms, last = 20, 30
	marks := make([]room.Receipt, 0, 2*rooms)
	for n := range rooms {
		c := conversation(t, replicas[0], 2*n+1)
		for range last {
			send(t, replicas[0], c, says("x", ""))
		}
		marks = append(marks, room.Receipt{Conversation: c, User: 1}, room.Receipt{Conversation: c, User: 2})
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			own := slices.Clone(marks)
			if i%2 == 1 {
				slices.Reverse(own)
			}
			for seq := int64(1); seq <= last; seq++ {
				for k := range own {
					own[k].Cursor = cursor(seq, seq/2)
				}
				got, err := replicas[i%2].AdvanceCursors(t.Context(), own)
				if err != nil {
					t.Error(err)
					return
				}
				for k, a := range got {
					if a.Cursor.Advanced(own[k].Cursor) != a.Cursor {
						t.Errorf("%+v is answered %+v", own[k].Cursor, a)
					}
				}
			}
		})
	}
	wg.Wait()
	all, err := replicas[0].ChangedCursors(t.Context(), time.Minute)
	if err != nil || len(all) != len(marks) {
		t.Fatalf("%d cursors, %v", len(all), err)
	}
	for _, r := range all {
		if r.Cursor != cursor(last, last/2) {
			t.Errorf("%+v", r)
		}
	}
}

func TestCursorsAreFoundByTheirTimeAndTheirConversation(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, postgres.Options{URL: url})
	c, other := conversation(t, db, 1), conversation(t, db, 3)
	for _, id := range []room.ID{c, other} {
		send(t, db, id, says("x", ""))
		advance(t, db, id, 1, cursor(1, 1))
	}
	execute(t, direct(t, url), `UPDATE roomspa.cursors SET changed_at = now() - interval '1 hour' WHERE conversation_id = $1`, other)
	want := []room.Receipt{{Conversation: c, User: 1, Cursor: cursor(1, 1)}}
	got, err := db.ChangedCursors(t.Context(), time.Minute)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("changed: %v\n%s", err, diff)
	}
	got, err = db.CursorsOf(t.Context(), []room.ID{other, {9}})
	want[0].Conversation = other
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("of a conversation: %v\n%s", err, diff)
	}
}

func TestUnreadEndsAtItsMaximum(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, postgres.Options{URL: url})
	c := conversation(t, db, 1)
	execute(t, direct(t, url), `
INSERT INTO roomspa.messages (conversation_id, seq, id, sender_id, sender_role, body, created_at, erased_at)
SELECT $1, n, gen_random_uuid(), CASE WHEN n % 3 = 0 THEN 1 WHEN n % 3 = 1 THEN 2 ELSE 6 END, 'support', 'x', now(),
	CASE WHEN n % 6 = 1 THEN now() END
FROM generate_series(1, 3000) n`, c)
	view := func(user room.UserID) room.Conversation {
		t.Helper()
		got, err := db.Conversation(t.Context(), room.Room{Customer: 1, Therapist: 2}, user)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if n := view(1).Unread; n != room.MaxUnread {
		t.Errorf("%d unread", n)
	}
	advance(t, db, c, 1, cursor(3000, 2988)) // of 12 messages, 4 are own and 2 erased
	advance(t, db, c, 2, cursor(7, 2))
	want := room.Conversation{ID: c, Number: 1, FirstSeq: 1, LastSeq: 3000, Customer: cursor(3000, 2988), Therapist: cursor(7, 2), Unread: 6}
	if diff := cmp.Diff(want, view(1)); diff != "" {
		t.Error(diff)
	}
	if n, err := db.Unread(t.Context(), 1); n != 6 || err != nil {
		t.Errorf("in all: %d, %v", n, err)
	}
	if n, err := db.Unread(t.Context(), 2); n != room.MaxUnread || err != nil {
		t.Errorf("in all, of the other side: %d, %v", n, err)
	}
	if n := view(6).Unread; n != 0 {
		t.Errorf("support has %d unread", n)
	}
}
