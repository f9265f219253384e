package adopt_test

import (
	"strings"
	"testing"
)

// adopted is what the fixture becomes.
var adopted = []string{
	"1/2 1 1 1 customer first 01-01 09:00:00.000001 01-01 09:30 text -",
	"1/2 2 2 2 therapist second 01-02 10:00:00.000002 01-02 10:30 text -",
	"1/2 3 4 1 customer third 01-05 08:00:00.000004 01-05 08:30 text -",
	`1/2 4 3 1 customer fourth 01-05 09:00:00.000003 - image {"a": [2], "b": 1}`,
	"1/2 5 5 13 support of the admin 01-05 09:30:00.000000 - text -",
	"1/2 6 6 2 therapist same moment ✓ 01-05 10:00:00.000000 - text -",
	"1/2 7 7 2 therapist same moment, next 01-05 10:00:00.000001 - system -",
	"1/4 1 10 1 customer of three 01-06 09:00:00.000000 - text -",
	"5/4 1 11 5 customer of three too 01-06 10:00:00.000000 01-06 11:00 text -",
}

func TestApplyTakesOverUsersAndChat(t *testing.T) {
	t.Parallel()
	d := predecessor(t)
	d.apply(t)
	d.expect(t, messages, adopted...)
	// 5/4 shares Django's conversation 6 with 1/4, so it has a number of roomspa's own.
	d.expect(t, conversations, "1/2 2 01-05 10:00", "1/4 6 01-06 09:00", "3/4 3 01-03 10:00", "5/4 7 01-06 09:00")
	d.expect(t, cursors, "1/2 1 4 4", "1/2 2 3 3", "1/4 1 1 1", "5/4 4 1 1", "5/4 5 1 1")
	d.expect(t, "SELECT family, user_id, revoked_at IS NOT NULL FROM roomspa.refresh_families", "signed-out 1 true")
	d.expect(t, "SELECT id, name, coalesce(email, '-'), coalesce(phone, '-'), role, is_active, left(password, 7), tokens_valid_after FROM roomspa.users ORDER BY id",
		"1 Cleo Cleo@example.com +431 customer true pbkdf2_ <nil>",
		"2 Theo theo@example.com - therapist true pbkdf2_ <nil>",
		"3 Cara  +433 customer true pbkdf2_ <nil>",
		"4 Tara tara@example.com - therapist false !none <nil>",
		"5 Carl - +435 customer true pbkdf2_ <nil>",
		"13 Ada ada@example.com - support true argon2$ <nil>",
		"14 Nora nora@example.com - none true pbkdf2_ <nil>",
		"15 Sam sam@example.com - support true pbkdf2_ <nil>")
	d.expect(t, "SELECT id::text FROM roomspa.messages WHERE number = 10", "019b9288-d680-7000-8000-00000000000a")
	d.expect(t, "SELECT nextval('roomspa.message_numbers'), nextval('roomspa.conversation_numbers')", "12 8")
	d.expectSame(t)
}

func TestApplyAgainChangesNothing(t *testing.T) {
	t.Parallel()
	d := predecessor(t)
	d.apply(t)
	before := append(append(d.rows(t, "SELECT * FROM roomspa.messages ORDER BY number"), d.rows(t, "SELECT * FROM roomspa.conversations ORDER BY number")...),
		d.rows(t, "SELECT * FROM roomspa.cursors ORDER BY 1, 2")...)
	d.apply(t)
	after := append(append(d.rows(t, "SELECT * FROM roomspa.messages ORDER BY number"), d.rows(t, "SELECT * FROM roomspa.conversations ORDER BY number")...),
		d.rows(t, "SELECT * FROM roomspa.cursors ORDER BY 1, 2")...)
	if strings.Join(before, "\n") != strings.Join(after, "\n") {
		t.Errorf("before:\n%s\nafter:\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
}

func TestApplyAgainTakesWhatIsNew(t *testing.T) {
	t.Parallel()
	d := predecessor(t)
	d.apply(t)
	d.exec(t,
		// A transaction that was late, a new message, and a room whose conversation is another one now.
		`INSERT INTO chat_message (id, conversation_id, sender_id, receiver_id, content, created_at, is_read, message_type) VALUES
			(12, 2, 1, 2, 'late', '2026-01-03+00', false, 'text'), (14, 3, 3, 4, 'new', '2026-02-01+00', false, 'text')`,
		`UPDATE chat_conversation SET updated_at = '2026-03-01+00' WHERE id = 1`,
		`UPDATE chat_message SET is_read = true, read_at = '2026-02-02+00' WHERE receiver_id = 1`,
		`UPDATE chat_message SET content = 'mended' WHERE id = 2`,
		// A user is deleted as Django does it.
		`UPDATE chat_conversation SET last_message_id = NULL WHERE id = 6`, `DELETE FROM chat_message WHERE 5 IN (sender_id, receiver_id)`, `DELETE FROM chat_conversation_participants WHERE userprofile_id = 5`,
		`DELETE FROM "User_userprofile" WHERE id = 5`)
	d.apply(t)
	d.expect(t, messages,
		adopted[0], strings.Replace(adopted[1], "second 01-02 10:00:00.000002 01-02 10:30", "mended 01-02 10:00:00.000002 02-02 00:00", 1), adopted[2], adopted[3],
		"1/2 5 5 13 support of the admin 01-05 09:30:00.000000 02-02 00:00 text -",
		"1/2 6 6 2 therapist same moment ✓ 01-05 10:00:00.000000 02-02 00:00 text -",
		"1/2 7 7 2 therapist same moment, next 01-05 10:00:00.000001 02-02 00:00 system -",
		"1/2 8 12 1 customer late 01-05 10:00:00.000002 - text -",
		adopted[7],
		"3/4 1 14 3 customer new 02-01 00:00:00.000000 - text -",
		"5/4 1 11 5 customer  01-06 10:00:00.000000 - text -")
	d.expect(t, conversations, "1/2 1 01-05 10:00", "1/4 6 01-06 09:00", "3/4 3 01-03 10:00", "5/4 7 01-06 09:00")
	d.expect(t, cursors, "1/2 1 8 8", "1/2 2 3 3", "1/4 1 1 1", "3/4 3 1 1", "5/4 4 1 1", "5/4 5 1 1")
	d.expectSame(t)
}

func TestNumbersOfRoomspaGiveWayToThoseOfDjango(t *testing.T) {
	t.Parallel()
	d := predecessor(t)
	d.apply(t)
	// Somebody tries roomspa out and opens a room, while Django goes on.
	d.exec(t, `INSERT INTO roomspa.conversations (customer_id, therapist_id) VALUES (3, 2)`,
		`INSERT INTO chat_conversation (id, updated_at, is_active) VALUES (8, '2026-03-01+00', true)`,
		`INSERT INTO chat_conversation_participants (conversation_id, userprofile_id) VALUES (8, 5), (8, 2)`)
	d.expect(t, "SELECT number FROM roomspa.conversations WHERE customer_id = 3 AND therapist_id = 2", "8")
	d.apply(t)
	d.expect(t, "SELECT customer_id, number FROM roomspa.conversations WHERE therapist_id = 2 ORDER BY 1", "1 2", "3 9", "5 8")
}

func TestErasedAndExpiredMessagesStayAway(t *testing.T) {
	t.Parallel()
	d := predecessor(t)
	d.apply(t)
	d.exec(t, `INSERT INTO roomspa.erasures (user_id) VALUES (2)`, `DELETE FROM roomspa.messages WHERE number IN (1, 2)`, // as roomspa retention does
		`UPDATE roomspa.messages SET body = '', erased_at = now() WHERE sender_id = 2`,
		`UPDATE chat_message SET is_read = true, read_at = now() WHERE id = 5`,
		`INSERT INTO chat_message (id, conversation_id, sender_id, receiver_id, content, created_at, is_read, message_type) VALUES
			(12, 2, 2, 1, 'of the erased one', '2026-02-01+00', false, 'text')`)
	d.apply(t)
	d.expect(t, "SELECT m.seq, m.number, m.body, m.erased_at IS NOT NULL FROM roomspa.messages m JOIN roomspa.conversations c ON c.id = m.conversation_id WHERE customer_id = 1 AND therapist_id = 2 ORDER BY 1",
		"3 4 third false", "4 3 fourth false", "5 5 of the admin false", "6 6  true", "7 7  true", "8 12  true")
	d.expect(t, cursors, "1/2 1 8 8", "1/2 2 3 3", "1/4 1 1 1", "5/4 4 1 1", "5/4 5 1 1") // nobody reads an erased message
	d.expectSame(t)
}
