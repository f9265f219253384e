package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

func TestOrderWithoutHoleFromTwoReplicas(t *testing.T) {
	t.Parallel()
	url := database(t)
	replicas := []*postgres.DB{open(t, postgres.Options{URL: url}), open(t, postgres.Options{URL: url})}
	const senders, each, rooms = 64, 50, 10
	var conversations [rooms]room.ID
	for i := range conversations {
		conversations[i] = conversation(t, replicas[0], 2*i+1)
	}
	acked := make([][]room.Message, senders)
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range each {
				d := room.Draft{Sender: room.UserID(s + 1), SenderRole: room.Customer, Text: strconv.Itoa(i)}
				m, duplicate, err := replicas[s%2].Append(t.Context(), conversations[(s+i)%rooms], d)
				if err != nil || duplicate {
					t.Errorf("sender %d, message %d: duplicate %v, %v", s, i, duplicate, err)
					return
				}
				acked[s] = append(acked[s], m)
			}
		})
	}
	wg.Wait()
	stored := map[room.ID]room.Message{}
	for _, c := range conversations {
		last := map[room.UserID]int{}
		for i, m := range all(t, replicas[1], c) {
			if m.Seq != int64(i+1) {
				t.Fatalf("message %d of %s has seq %d", i, c, m.Seq)
			}
			n, _ := strconv.Atoi(m.Text)
			if before, ok := last[m.Sender]; ok && n <= before {
				t.Errorf("%s: sender %d's message %d comes after %d", c, m.Sender, n, before)
			}
			last[m.Sender] = n
			stored[m.ID] = m
		}
	}
	for _, msgs := range acked {
		for _, m := range msgs {
			if diff := cmp.Diff(m, stored[m.ID]); diff != "" {
				t.Fatalf("acknowledged and stored differ:\n%s", diff)
			}
		}
	}
	if len(stored) != senders*each {
		t.Errorf("%d messages are stored, want %d", len(stored), senders*each)
	}
}

// TestLoneMessagesHaveNoHole sends messages of one room from four replicas, each of which has one
// in flight. At no time is one of them visible whose predecessor is not.
func TestLoneMessagesHaveNoHole(t *testing.T) {
	t.Parallel()
	url := database(t)
	const replicas, each = 4, 100
	c := conversation(t, open(t, postgres.Options{URL: url}), 1)
	var senders sync.WaitGroup
	for s := range replicas {
		db := open(t, postgres.Options{URL: url})
		senders.Go(func() {
			for i := range each {
				if _, _, err := db.Append(t.Context(), c, says("x", fmt.Sprint(s, " ", i))); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	sql := direct(t, url)
	eventually(t, "all are stored", func() error {
		var visible, last int64
		err := sql.QueryRow(t.Context(), "SELECT count(*), coalesce(max(seq), 0) FROM roomspa.messages").Scan(&visible, &last)
		if err == nil && visible != last {
			t.Errorf("%d messages are visible, and the last one is %d", visible, last)
		}
		if err == nil && visible < replicas*each {
			err = fmt.Errorf("%d messages", visible)
		}
		return err
	})
	senders.Wait()
	stored := all(t, open(t, postgres.Options{URL: url}), c)
	for i := range stored[1:] {
		if before, m := &stored[i], &stored[i+1]; !m.At.After(before.At) || m.Number <= before.Number {
			t.Errorf("%+v follows %+v", m, before)
		}
	}
}

func TestTheSameIDIsOneMessage(t *testing.T) {
	t.Parallel()
	url := database(t)
	replicas := []*postgres.DB{open(t, postgres.Options{URL: url}), open(t, postgres.Options{URL: url})}
	c := conversation(t, replicas[0], 1)
	var mu sync.Mutex
	var firsts int
	got := map[room.Message]int{}
	var wg sync.WaitGroup
	for i := range 64 { // within a batch, across batches, across replicas: whatever happens
		wg.Go(func() {
			m, duplicate, err := replicas[i%2].Append(t.Context(), c, says(fmt.Sprint("text ", i), "id-"+strconv.Itoa(i/16)))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			got[m]++
			if !duplicate {
				firsts++
			}
		})
	}
	wg.Wait()
	if firsts != 4 || len(got) != 4 || len(all(t, replicas[0], c)) != 4 {
		t.Errorf("4 ids became %d firsts and %d messages", firsts, len(got))
	}
	for m, n := range got {
		if n != 16 {
			t.Errorf("%d of 16 got %+v", n, m)
		}
	}
	first, _ := send(t, replicas[0], c, says("one", "later"))
	again, duplicate := send(t, replicas[1], c, says("another text", "later"))
	if !duplicate || cmp.Diff(first, again) != "" {
		t.Errorf("duplicate %v:\n%s", duplicate, cmp.Diff(first, again))
	}
	// The scope is the conversation and the sender.
	other := says("mine", "later")
	other.Sender = 2
	if _, duplicate := send(t, replicas[0], c, other); duplicate {
		t.Error("another sender's id was taken for the same")
	}
	if _, duplicate := send(t, replicas[0], conversation(t, replicas[0], 5), says("there", "later")); duplicate {
		t.Error("another conversation's id was taken for the same")
	}
}

// together appends all drafts at once, behind a lock that is held until all of
// them wait, so that they share batches.
func together(t *testing.T, url string, c room.ID, drafts map[string]func() (room.Message, bool, error)) map[string]error {
	t.Helper()
	conn := direct(t, url)
	execute(t, conn, "BEGIN")
	execute(t, conn, "SELECT FROM roomspa.conversations WHERE id = $1 FOR UPDATE", c)
	errs := map[string]error{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for name, f := range drafts {
		wg.Go(func() {
			_, _, err := f()
			mu.Lock()
			defer mu.Unlock()
			errs[name] = err
		})
	}
	waitForLock(t, url)
	execute(t, conn, "ROLLBACK")
	wg.Wait()
	return errs
}

// waitForLock returns when a backend waits for a lock.
func waitForLock(t testing.TB, url string) { t.Helper(); waitForLocks(t, url, 1) }

// waitForLocks returns when so many backends wait for a lock.
func waitForLocks(t testing.TB, url string, want int) {
	t.Helper()
	conn := direct(t, url)
	eventually(t, "wait for a lock", func() error {
		var n int
		err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&n)
		if err == nil && n < want {
			err = fmt.Errorf("%d of %d wait", n, want)
		}
		return err
	})
}

func TestABadMessageFailsAlone(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, postgres.Options{URL: url})
	c := conversation(t, db, 1)
	absent := c
	absent[0] ^= 0xff // the same committer
	calls := map[string]func() (room.Message, bool, error){}
	add := func(name string, c room.ID, d room.Draft) {
		calls[name] = func() (room.Message, bool, error) { return db.Append(t.Context(), c, d) }
	}
	add("no such conversation", absent, says("x", ""))
	add("NUL", c, says("a\x00b", ""))
	add("not UTF-8", c, says("a\xffb", "id-1"))
	add("bad role", c, room.Draft{Sender: 1, SenderRole: "king", Text: "x"})
	add("id too long for an index", c, says("x", longText(12_000)))
	for i := range 40 {
		add("good "+strconv.Itoa(i), c, says("fine", "good-"+strconv.Itoa(i)))
	}
	for name, err := range together(t, url, c, calls) {
		switch {
		case strings.HasPrefix(name, "good"):
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case name == "no such conversation":
			if !errors.Is(err, room.ErrNotFound) {
				t.Errorf("%s: %v", name, err)
			}
		case err == nil || errors.Is(err, room.ErrUnavailable) || postgres.Cause(err) != "rejected":
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(all(t, db, c)); n != 40 {
		t.Errorf("%d messages, want 40", n)
	}
	// The id of a message that was refused is still free.
	if _, duplicate := send(t, db, c, says("now UTF-8", "id-1")); duplicate {
		t.Error("a refused message left its id behind")
	}
}

func TestACallerWhoLeavesDoesNotKnow(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, postgres.Options{URL: url, MaxConnections: 2}) // so that there is one batch at a time
	c := conversation(t, db, 1)
	conn := direct(t, url)
	execute(t, conn, "BEGIN")
	execute(t, conn, "SELECT FROM roomspa.conversations FOR UPDATE")
	var other sync.WaitGroup
	defer other.Wait()
	other.Go(func() { _, _, _ = db.Append(t.Context(), c, says("before", "")) })
	waitForLock(t, url)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := db.Append(ctx, c, says("left", "left"))
	if !errors.Is(err, room.ErrUnavailable) || !errors.Is(err, room.ErrOutcomeUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	execute(t, conn, "COMMIT")
	eventually(t, "what was sent before the caller left", func() error { // a newcomer may lock the row first
		if !slices.ContainsFunc(all(t, db, c), func(m room.Message) bool { return m.Text == "left" }) {
			return errors.New("it is not stored")
		}
		return nil
	})
	if m, duplicate := send(t, db, c, says("again", "left")); !duplicate || m.Text != "left" {
		t.Errorf("what was sent before the caller left is not what is stored: %+v", m)
	}
}

func TestTheIDIsATimeOfTheDatabase(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Options{URL: database(t)})
	c := conversation(t, db, 1)
	m, _ := send(t, db, c, says("x", ""))
	var ms int64
	for _, b := range m.ID[:6] {
		ms = ms<<8 | int64(b)
	}
	if ms != m.At.UnixMilli() {
		t.Errorf("id %s says %d, the message %v", m.ID, ms, m.At)
	}
	if m.ID[6]>>4 != 7 || m.ID[8]>>6 != 2 {
		t.Errorf("%s is no UUIDv7", m.ID)
	}
}
