package postgres_test

import (
	"testing"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

// TestUnreadHoldsWhenMessagesAreDeletedBySQL at any place of a conversation.
func TestUnreadHoldsWhenMessagesAreDeletedBySQL(t *testing.T) {
	t.Parallel()
	url := database(t)
	conn := direct(t, url)
	db := open(t, postgres.Options{URL: url})
	n := 1
	for name, c := range map[string]struct {
		sql    string
		seq    int64 // of the next message
		cursor int64 // of who had read everything
	}{
		"the first ones":   {"DELETE FROM roomspa.messages WHERE seq <= 5 AND conversation_id = $1", 11, 10},
		"one between":      {"DELETE FROM roomspa.messages WHERE seq = 5 AND conversation_id = $1", 11, 10},
		"the last ones":    {"DELETE FROM roomspa.messages WHERE seq > 6 AND conversation_id = $1", 7, 6},
		"all":              {"DELETE FROM roomspa.messages WHERE conversation_id = $1", 1, 0},
		"all, by TRUNCATE": {"TRUNCATE roomspa.messages", 1, 0},
	} {
		t.Run(name, func(t *testing.T) { // one after the other: TRUNCATE
			n += 2
			id := conversation(t, db, n)
			me, other := room.UserID(n), room.UserID(n+1)
			draft := room.Draft{Sender: me, SenderRole: room.Customer, Text: "x"}
			for range 10 {
				send(t, db, id, draft)
			}
			if _, err := db.AdvanceCursors(t.Context(), []room.Receipt{{Conversation: id, User: other, Cursor: room.Cursor{Delivered: 10, Read: 10}}}); err != nil {
				t.Fatal(err)
			}
			if name == "all, by TRUNCATE" {
				execute(t, conn, c.sql)
			} else {
				execute(t, conn, c.sql, id)
			}
			found, err := db.Conversation(t.Context(), room.Room{Customer: me, Therapist: other}, other)
			if err != nil || found.Therapist.Read != c.cursor || found.Therapist.Delivered != c.cursor || found.Unread != 0 {
				t.Errorf("%+v, %v", found, err)
			}
			if m, _ := send(t, db, id, draft); m.Seq != c.seq {
				t.Errorf("the next message has number %d", m.Seq)
			}
			found, err = db.Conversation(t.Context(), room.Room{Customer: me, Therapist: other}, other)
			if err != nil || found.Unread != 1 || found.LastSeq != c.seq {
				t.Errorf("%d unread: %+v, %v", found.Unread, found, err)
			}
		})
	}
}
