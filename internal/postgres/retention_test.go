package postgres_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

const month = 30 * 24 * time.Hour

// TestOldMessagesAreDeletedAndNumbersGoOn deletes all but the youngest messages, some that are
// out of order, and more than one batch of them.
func TestOldMessagesAreDeletedAndNumbersGoOn(t *testing.T) {
	t.Parallel()
	url := database(t)
	db, conn := open(t, postgres.Options{URL: url}), direct(t, url)
	partly, wholly, long, young, empty := conversation(t, db, 1), conversation(t, db, 2), conversation(t, db, 3), conversation(t, db, 4), conversation(t, db, 5)
	for i := range 5 {
		send(t, db, partly, says("x", fmt.Sprint("p", i)))
		send(t, db, wholly, says("x", fmt.Sprint("w", i)))
		send(t, db, young, says("x", ""))
	}
	execute(t, conn, `INSERT INTO roomspa.messages (conversation_id, seq, id, sender_id, sender_role, body, created_at)
		SELECT $1, n, gen_random_uuid(), 1, 'customer', 'x', now() - interval '40 days' FROM generate_series(1, 4500) n`, long)
	execute(t, conn, `UPDATE roomspa.messages SET created_at = now() - interval '31 days' WHERE conversation_id = $1`, wholly)
	execute(t, conn, `UPDATE roomspa.messages SET created_at = now() - interval '31 days' WHERE conversation_id = $1 AND seq IN (1, 2, 4)`, partly)
	if _, err := db.DeleteMessages(t.Context(), time.Hour, nil); err == nil {
		t.Error("an hour is enough")
	}
	for _, want := range []postgres.Retained{{Deleted: 2 + 4 + 4499, Emptied: 2, Conversations: 5}, {Conversations: 5}} {
		done, err := db.DeleteMessages(t.Context(), month, nil)
		if done.Before = (time.Time{}); err != nil || done != want {
			t.Fatalf("%+v, want %+v, %v", done, want, err)
		}
	}
	for _, c := range []struct {
		id          room.ID
		n           int
		first, last int64
		read        int64 // by the therapist
	}{{partly, 1, 3, 5, 2}, {wholly, 2, 5, 5, 5}, {long, 3, 4500, 4500, 4500}, {young, 4, 1, 5, 0}, {empty, 5, 1, 0, 0}} {
		got, err := db.Conversation(t.Context(), room.Room{Customer: room.UserID(c.n), Therapist: room.UserID(c.n + 1)}, room.UserID(c.n))
		if err != nil || got.ID != c.id || got.FirstSeq != c.first || got.LastSeq != c.last || got.Therapist.Read != c.read {
			t.Errorf("%d: %+v, %v", c.n, got, err)
		}
		if m, _ := send(t, db, c.id, says("next", "")); m.Seq != c.last+1 {
			t.Errorf("%d: the next message has the number %d", c.n, m.Seq)
		}
	}
	msgs, more, err := db.Before(t.Context(), wholly, 0, 100, mebibyte)
	if err != nil || more || len(msgs) != 2 || msgs[0].Seq != 5 || msgs[0].Text != "" || msgs[1].Text != "next" {
		t.Errorf("%+v, more %v, %v", msgs, more, err)
	}
	after, more, err := db.After(t.Context(), wholly, 2, 100, mebibyte)
	if err != nil || more || len(after) != 2 || after[0].Seq != 5 {
		t.Errorf("after 2: %+v, more %v, %v", after, more, err)
	}
	// What is deleted is not known any more; what is left is.
	if m, duplicate := send(t, db, partly, says("x", "p0")); duplicate || m.Seq != 7 {
		t.Errorf("a repetition of a deleted message: %+v, %v", m, duplicate)
	}
	if m, duplicate := send(t, db, partly, says("x", "p3")); !duplicate || m.Seq != 4 {
		t.Errorf("a repetition of a message that is left: %+v, %v", m, duplicate)
	}
	if done, err := db.DeleteMessages(t.Context(), month, nil); err != nil || done.Deleted != 2 { // the emptied ones
		t.Errorf("%+v, %v", done, err)
	}
}

func TestAConversationWithAnOpenReportKeepsItsMessages(t *testing.T) {
	t.Parallel()
	url := database(t)
	db, conn := open(t, postgres.Options{URL: url}), direct(t, url)
	c := conversation(t, db, 1)
	for range 3 {
		send(t, db, c, says("x", ""))
	}
	execute(t, conn, `UPDATE roomspa.messages SET created_at = now() - interval '31 days'`)
	id, err := db.AddReport(t.Context(), room.Report{Reporter: 2, Conversation: c, Seq: 1, Reason: "spam"})
	if err != nil {
		t.Fatal(err)
	}
	if done, err := db.DeleteMessages(t.Context(), month, nil); err != nil || done.Deleted != 0 || done.Reported != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	if err := db.CloseReport(t.Context(), id, "nothing"); err != nil {
		t.Fatal(err)
	}
	if done, err := db.DeleteMessages(t.Context(), month, nil); err != nil || done.Deleted != 2 || done.Reported != 0 {
		t.Errorf("%+v, %v", done, err)
	}
}

// TestADeletionIsNoRestore deletes the messages that a replica remembers as its last ones.
func TestADeletionIsNoRestore(t *testing.T) {
	t.Parallel()
	target := database(t)
	conn := direct(t, target)
	replica := members(t, postgres.Options{URL: target}, 1)[0]
	first := replica.beat(t)
	c := conversation(t, replica.DB, 1)
	for i := range 5 {
		send(t, replica.DB, c, says("old", fmt.Sprint(i)))
	}
	execute(t, conn, `UPDATE roomspa.messages SET created_at = now() - interval '31 days'`)
	if done, err := replica.DeleteMessages(t.Context(), month, nil); err != nil || done.Deleted != 4 {
		t.Fatalf("%+v, %v", done, err)
	}
	for range 2 {
		if d := replica.beat(t); d.Timeline != first.Timeline {
			t.Fatalf("timeline %d after a deletion", d.Timeline)
		}
	}
	execute(t, conn, "DELETE FROM roomspa.messages") // the last one too
	if d := replica.beat(t); d.Timeline != first.Timeline+1 {
		t.Errorf("timeline %d after a loss", d.Timeline)
	}
}

// TestMessagesAreDeletedWhileOthersAreStored checks that the conversation never has a hole.
func TestMessagesAreDeletedWhileOthersAreStored(t *testing.T) {
	t.Parallel()
	url := database(t)
	db, conn := open(t, postgres.Options{URL: url}), direct(t, url)
	c := conversation(t, db, 1)
	stored := make(chan error, 1)
	go func() {
		for range 200 {
			if _, _, err := db.Append(t.Context(), c, says("x", "")); err != nil {
				stored <- err
				return
			}
		}
		stored <- nil
	}()
	for done := false; !done; {
		select {
		case err := <-stored:
			if done = true; err != nil {
				t.Error(err)
			}
		default:
		}
		execute(t, conn, `UPDATE roomspa.messages SET created_at = now() - interval '31 days'
			WHERE seq < (SELECT max(seq) FROM roomspa.messages)`)
		if _, err := db.DeleteMessages(t.Context(), month, nil); err != nil {
			t.Fatal(err)
		}
		left, _, err := db.Before(t.Context(), c, 0, 1000, mebibyte)
		if err != nil {
			t.Fatal(err)
		}
		seqs := make([]int64, len(left))
		for i, m := range left {
			if seqs[i] = m.Seq; m.Seq != left[0].Seq+int64(i) {
				t.Fatalf("a hole: %v", seqs)
			}
		}
		if done && !slices.Contains(seqs, 200) {
			t.Errorf("left: %v", seqs)
		}
	}
}
