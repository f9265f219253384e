package adopt_test

import (
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/room"
)

const theirMessages = `
SELECT id, conversation_id, sender_id, receiver_id, content, is_read, read_at IS NOT NULL, message_type, coalesce(metadata::text, '-')
FROM chat_message WHERE id > 11 ORDER BY id`

// used returns a database in which roomspa has stored something of each kind.
func used(t *testing.T) *database {
	t.Helper()
	d := predecessor(t)
	d.apply(t)
	db := d.roomspa(t)
	known, fresh := room.Room{Customer: 1, Therapist: 2}, room.Room{Customer: 3, Therapist: 2}
	d.send(t, db, known, room.Draft{Sender: 1, SenderRole: room.Customer, Text: "number 12"})
	d.send(t, db, fresh, room.Draft{Sender: 3, SenderRole: room.Customer, Text: "number 13, in a new room"})
	d.send(t, db, known, room.Draft{Sender: 13, SenderRole: room.Support, Text: "number 14", Type: "file", Metadata: `{"b": 1}`})
	d.send(t, db, known, room.Draft{SenderRole: room.Support, Text: "number 15, of nobody", Type: "system"})
	d.send(t, db, known, room.Draft{Sender: 2, SenderRole: room.Therapist, Text: "number 16"})
	d.read(t, db, known, 2, 8) // up to the message 12
	d.read(t, db, known, 1, 9) // up to the message 14
	// An empty room, and an erasure of an adopted message and of an own one.
	if _, err := db.Conversation(t.Context(), room.Room{Customer: 5, Therapist: 2}, 5); err != nil {
		t.Fatal(err)
	}
	d.exec(t, `UPDATE roomspa.messages SET body = '', erased_at = now() WHERE number IN (2, 16)`)
	return d
}

func TestReturnWritesWhatRoomspaStored(t *testing.T) {
	t.Parallel()
	d := used(t)
	if c := d.verify(t); len(c.Differences) > 0 || c.OnlyOurs != 5 {
		t.Errorf("before: %+v", c)
	}
	d.giveBack(t)
	want := []string{
		"12 2 1 2 number 12 true true text -",
		"13 8 3 2 number 13, in a new room false false text -",
		`14 2 13 1 number 14 true true file {"b": 1}`,
		"15 2 13 1 number 15, of nobody false false system -",
		"16 2 2 1  false false text -",
	}
	d.expect(t, theirMessages, want...)
	d.expect(t, "SELECT c.id, array_agg(p.userprofile_id ORDER BY 1), c.last_message_id, c.updated_at = m.created_at FROM chat_conversation c JOIN chat_conversation_participants p ON p.conversation_id = c.id LEFT JOIN chat_message m ON m.id = c.last_message_id GROUP BY c.id, m.created_at ORDER BY c.id",
		"1 [1 2] <nil> <nil>", "2 [1 2] 16 true", "3 [3 4] <nil> <nil>", "4 [1 3] 9 false", "5 [5] <nil> <nil>", "6 [1 4 5] 10 false",
		"7 [4 5] 11 true", "8 [2 3] 13 true", "9 [2 5] <nil> <nil>")
	d.expect(t, "SELECT id, conversation_id, content, is_read, message_type FROM chat_message WHERE id <= 11 ORDER BY id",
		"1 2 first true text", "2 2  true text", "3 2 fourth true image", "4 2 third true text", "5 2 of the admin true text",
		"6 2 same moment ✓ true text", "7 2 same moment, next true system", "8 4 no therapist false text", "9 4 customer to customer false text",
		"10 6 of three false text", "11 7 of three too true text")
	d.expect(t, "SELECT count(*) FROM chat_message d JOIN roomspa.messages m ON m.number = d.id WHERE d.id > 11 AND d.created_at = m.created_at", "5")
	d.expectSame(t)
	d.giveBack(t)
	d.expect(t, theirMessages, want...)
	d.expect(t, "SELECT nextval(pg_get_serial_sequence('chat_message', 'id')), nextval(pg_get_serial_sequence('chat_conversation', 'id'))", "17 10")
}

func TestDjangoContinuesAfterReturn(t *testing.T) {
	t.Parallel()
	d := used(t)
	if _, err := d.open(t).Apply(t.Context()); err == nil || !strings.Contains(err.Error(), "roomspa has stored 5 messages of its own (the first has number 12): run roomspa adopt django --return") {
		t.Errorf("an --apply before --return: %v", err)
	}
	d.giveBack(t)
	d.exec(t, `INSERT INTO chat_message (conversation_id, sender_id, receiver_id, content, created_at, is_read, message_type) VALUES (2, 2, 1, 'of Django', now(), false, 'text')`,
		`UPDATE chat_message SET is_read = true, read_at = now() WHERE id = 13`,
		// The customer 3 goes, with the messages of both.
		`UPDATE chat_conversation SET last_message_id = NULL`, `DELETE FROM chat_message WHERE 3 IN (sender_id, receiver_id)`,
		`DELETE FROM chat_conversation_participants WHERE userprofile_id = 3`, `DELETE FROM "User_userprofile" WHERE id = 3`)
	d.apply(t)
	d.expect(t, "SELECT m.seq, m.number, m.body FROM roomspa.messages m JOIN roomspa.conversations c ON c.id = m.conversation_id WHERE c.number IN (2, 8) AND m.number > 11 ORDER BY m.number",
		"8 12 number 12", "1 13 ", "9 14 number 14", "10 15 number 15, of nobody", "11 16 ", "12 17 of Django")
	d.expectSame(t)
	d.own(t, 19)
	d.giveBack(t)
	d.expect(t, "SELECT id, content FROM chat_message WHERE id > 16 ORDER BY id", "17 of Django", "18 of roomspa", "19 of support")
	d.expectSame(t)
}

func TestReturnRefusesNumbersThatBothSidesGave(t *testing.T) {
	t.Parallel()
	d := used(t)
	d.exec(t, `INSERT INTO chat_message (conversation_id, sender_id, receiver_id, content, created_at, is_read, message_type) VALUES (2, 2, 1, 'of Django', now(), false, 'text')`)
	err := d.open(t).Return(t.Context())
	if err == nil || !strings.Contains(err.Error(), "roomspa has 1 messages that have the number of another message in Django (12). Nothing was written") {
		t.Fatalf("got %v", err)
	}
	d.expect(t, "SELECT count(*) FROM chat_message WHERE id > 11", "1")
	d.exec(t, `SELECT setval('roomspa.message_numbers', 100)`, `UPDATE roomspa.messages SET number = DEFAULT WHERE number IN (12)`)
	d.giveBack(t)
	d.expect(t, "SELECT id, content FROM chat_message WHERE id IN (12, 101) ORDER BY id", "12 of Django", "101 number 12")
}

func TestReturnNeedsAnApply(t *testing.T) {
	t.Parallel()
	d := predecessor(t)
	if err := d.open(t).Return(t.Context()); err == nil || !strings.Contains(err.Error(), "no --apply is complete") {
		t.Errorf("got %v", err)
	}
	if _, err := d.open(t).Verify(t.Context()); err == nil || !strings.Contains(err.Error(), "nothing was adopted yet") {
		t.Errorf("got %v", err)
	}
	d.exec(t, `ALTER TABLE chat_message ADD booking bigint NOT NULL DEFAULT 0; ALTER TABLE chat_message ALTER booking DROP DEFAULT`)
	d.apply(t)
	if err := d.open(t).Return(t.Context()); err == nil || !strings.Contains(err.Error(), `"public"."chat_message".booking is NOT NULL without a default`) {
		t.Errorf("got %v", err)
	}
}
