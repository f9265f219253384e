package postgres_test

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

func seqs(msgs []room.Message) string {
	var s string
	for _, m := range msgs {
		s += strconv.FormatInt(m.Seq, 10) + " "
	}
	return s
}

func TestHistory(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, postgres.Options{URL: url})
	c, empty := conversation(t, db, 1), conversation(t, db, 3)
	for i := range 10 {
		send(t, db, c, says("message "+strconv.Itoa(i+1), ""))
	}
	for _, test := range []struct {
		before int64
		limit  int
		want   string
		more   bool
	}{
		{0, 3, "8 9 10 ", true},
		{8, 3, "5 6 7 ", true},
		{4, 3, "1 2 3 ", false},
		{1, 3, "", false},
		{99, 99, "1 2 3 4 5 6 7 8 9 10 ", false},
		{0, 0, "10 ", true},
	} {
		msgs, more, err := db.Before(t.Context(), c, test.before, test.limit, mebibyte)
		if err != nil || seqs(msgs) != test.want || more != test.more {
			t.Errorf("before %d, %d: %s%v, %v", test.before, test.limit, seqs(msgs), more, err)
		}
	}
	var wg sync.WaitGroup
	for i := range 600 { // more than one query's worth
		wg.Go(func() {
			after := int64(i % 12)
			want := ""
			for s := after + 1; s <= min(10, after+4); s++ {
				want += strconv.FormatInt(s, 10) + " "
			}
			msgs, _, err := db.After(t.Context(), c, after, 4, mebibyte)
			if err != nil || seqs(msgs) != want {
				t.Errorf("after %d: %s, %v", after, seqs(msgs), err)
			}
			if msgs, more, err := db.After(t.Context(), empty, int64(i), 1000, mebibyte); err != nil || more || len(msgs) > 0 {
				t.Errorf("an empty conversation has %s, %v", seqs(msgs), err)
			}
		})
	}
	wg.Wait()
}

func TestTails(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, postgres.Options{URL: url})
	a, b := conversation(t, db, 1), conversation(t, db, 3)
	conversation(t, db, 5)
	old, _ := send(t, db, b, says("an hour old", ""))
	for range 3 {
		send(t, db, a, says("new", ""))
	}
	conn := direct(t, url)
	execute(t, conn, `UPDATE roomspa.messages SET id =
		(lpad(to_hex((extract(epoch FROM now() - interval '1 hour') * 1000)::bigint), 12, '0') || substr(replace(id::text, '-', ''), 13))::uuid
		WHERE id = $1`, old.ID)
	tails, err := db.Tails(t.Context(), 10*time.Minute)
	if err != nil || len(tails) != 1 || tails[a] != 3 {
		t.Errorf("%v, %v", tails, err)
	}
	if tails, err = db.Tails(t.Context(), 2*time.Hour); err != nil || len(tails) != 2 || tails[b] != 1 {
		t.Errorf("%v, %v", tails, err)
	}
}
