package postgres_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

// saveIdentity keeps what a backup would, and returns a function that restores it.
func saveIdentity(t *testing.T, conn *pgx.Conn) (restore func()) {
	t.Helper()
	execute(t, conn, `CREATE SCHEMA IF NOT EXISTS backup; DROP TABLE IF EXISTS backup.deployment, backup.messages;
CREATE TABLE backup.deployment AS TABLE roomspa.deployment; CREATE TABLE backup.messages AS TABLE roomspa.messages`)
	return func() {
		t.Helper()
		execute(t, conn, `BEGIN; DELETE FROM roomspa.deployment; DELETE FROM roomspa.messages;
INSERT INTO roomspa.deployment TABLE backup.deployment; INSERT INTO roomspa.messages TABLE backup.messages; COMMIT`)
	}
}

func TestARestoredBackupRaisesTheTimelineOnce(t *testing.T) {
	t.Parallel()
	target := database(t)
	for name, pooled := range map[string]bool{"direct": false, "as behind PgBouncer": true} {
		t.Run(name, func(t *testing.T) {
			conn := direct(t, target)
			all := members(t, postgres.Options{URL: target, PgBouncer: pooled}, 3)
			first := all[0].beat(t)
			restore := saveIdentity(t, conn)
			for range 2 {
				for _, m := range all {
					m.beat(t)
				}
			}
			restore()
			for i, d := range beatAtOnce(t, target, all) { // each of them notices
				if d.ID != first.ID || d.Timeline != first.Timeline+1 || len(d.Keys) != 1 {
					t.Errorf("replica %d: %v on timeline %d", i, d, d.Timeline)
				}
			}
			if a, b := total(all, restored), total(all, followed); a != 1 || b != 2 {
				t.Errorf("%d replicas say that they raised the timeline, %d that another did", a, b)
			}
			// The backup is of a lower timeline now.
			restore()
			for i, m := range all {
				if d := m.beat(t); d.Timeline != first.Timeline+2 {
					t.Errorf("replica %d: timeline %d after the second time", i, d.Timeline)
				}
			}
			for i, m := range all {
				if d := m.beat(t); d.ID != first.ID || d.Timeline != first.Timeline+2 {
					t.Errorf("replica %d: %v on timeline %d at last", i, d, d.Timeline)
				}
			}
			if a, b := total(all, restored), total(all, followed); a != 2 || b != 4 {
				t.Errorf("%d lines say that the timeline was raised, %d that another replica did", a, b)
			}
			if n := all[0].log.count(`it is on timeline`) + all[1].log.count(`it is on timeline`) + all[2].log.count(`it is on timeline`); n != 1 {
				t.Errorf("%d lines name the lower timeline", n)
			}
		})
	}
}

// TestALostCommitIsNoticed is a failover to a standby that lacks the last commits. The
// heartbeats of the other replicas have raised their number again.
func TestALostCommitIsNoticed(t *testing.T) {
	t.Parallel()
	target := database(t)
	conn := direct(t, target)
	all := members(t, postgres.Options{URL: target}, 2)
	first := all[0].beat(t)
	all[1].beat(t)
	c := conversation(t, all[0].DB, 1)
	if _, err := all[0].CreateUser(t.Context(), room.User{ID: 1, Email: "a@example.com", Role: room.Customer}, "-"); err != nil {
		t.Fatal(err)
	}
	beats := func(want int64) {
		t.Helper()
		for _, m := range all {
			if d := m.beat(t); d.Timeline != want {
				t.Errorf("%s: timeline %d, want %d", m.name, d.Timeline, want)
			}
		}
	}
	lose := func(n int) {
		t.Helper()
		execute(t, conn, "DELETE FROM roomspa.messages WHERE seq > (SELECT max(seq) - $1 FROM roomspa.messages)", n)
	}
	for i := range 6 {
		send(t, all[0].DB, c, says("kept", fmt.Sprint("id-", i)))
	}
	if n, err := all[1].EraseUser(t.Context(), 1); err != nil || n != 6 { // keeps rows and ids
		t.Fatalf("erased %d messages, %v", n, err)
	}
	send(t, all[1].DB, c, room.Draft{Sender: 2, SenderRole: room.Therapist, Text: "kept"})
	beats(first.Timeline)
	beats(first.Timeline)
	lose(1) // it was there at the last heartbeat, which was lost too, and counted again by others
	execute(t, conn, "UPDATE roomspa.deployment SET heartbeats = heartbeats + 10")
	if d := all[0].beat(t); d.Timeline != first.Timeline {
		t.Errorf("the replica that lost nothing: timeline %d", d.Timeline)
	}
	if d := all[1].beat(t); d.Timeline != first.Timeline+1 {
		t.Errorf("the replica whose message is gone: timeline %d", d.Timeline)
	}
	beats(first.Timeline + 1)
	beats(first.Timeline + 1)

	// Another message has its number.
	lost, _ := send(t, all[0].DB, c, room.Draft{Sender: 2, SenderRole: room.Therapist, Text: "lost"})
	lose(1)
	if m, _ := send(t, all[1].DB, c, room.Draft{Sender: 2, SenderRole: room.Therapist, Text: "in its place"}); m.Seq != lost.Seq {
		t.Fatalf("number %d, not %d", m.Seq, lost.Seq)
	}
	beats(first.Timeline + 2)
	beats(first.Timeline + 2)
	if a, b := total(all, restored+".*"), total(all, followed); a != 2 || b != 2 || total(all, "last messages that this replica stored are gone") != 2 {
		t.Errorf("%d lines say that the timeline was raised, %d that another replica did", a, b)
	}
}

// TestTheLastMessageOfABatchIsRemembered is a large batch, and duplicates after it.
func TestTheLastMessageOfABatchIsRemembered(t *testing.T) {
	t.Parallel()
	target := database(t)
	conn := direct(t, target)
	replicas := members(t, postgres.Options{URL: target}, 2)
	first := replicas[0].beat(t)
	c := conversation(t, replicas[0].DB, 1)
	calls := map[string]func() (room.Message, bool, error){}
	for i := range 40 {
		id := fmt.Sprint("id-", i)
		calls[id] = func() (room.Message, bool, error) { return replicas[0].Append(t.Context(), c, says("x", id)) }
	}
	for name, err := range together(t, target, c, calls) {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	stored := all(t, replicas[0].DB, c)
	for i := range 12 { // neither replica commits anything now
		if _, duplicate := send(t, replicas[i%2].DB, c, says("x", stored[i].ClientMessageID)); !duplicate {
			t.Error("there is no such message")
		}
	}
	replicas[1].beat(t)
	execute(t, conn, "DELETE FROM roomspa.messages WHERE seq = 40")
	if d := replicas[1].beat(t); d.Timeline != first.Timeline {
		t.Errorf("the replica that committed nothing: timeline %d", d.Timeline)
	}
	if d := replicas[0].beat(t); d.Timeline != first.Timeline+1 {
		t.Errorf("the replica whose message is gone: timeline %d", d.Timeline)
	}
}
