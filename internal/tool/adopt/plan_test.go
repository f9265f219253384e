package adopt_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/adopt"
)

// odd are the findings in the fixture and in what TestPlanFindsOddities adds: the beginning of each,
// the count and the examples.
var odd = []string{
	"phone numbers that several users have: 1 +431",
	"e-mail addresses that several users have: 1 theo@example.com",
	"e-mail addresses that differ only in case: 1 cleo@example.com",
	"users without an e-mail address: 2 3 5",
	"users with neither an e-mail address nor a phone number: 1 17",
	"users whose id is not between 1 and 2^53-1: 1 9007199254740992",
	"admins by their role only: 1 14",
	"users with another unknown role: 1 18",
	"customers and therapists with is_staff or is_superuser: 1 15",
	"users who are not active: 1 4",
	"unusable passwords: 1 4",
	"kinds of password hashes other than PBKDF2-SHA256 with 870000 iterations: 2 argon2: 1 users pbkdf2_sha256$260000: 1 users",
	"conversations of three or more people: 1 6",
	"conversations of customers without a therapist: 1 4",
	"conversations with one participant: 1 5",
	"conversations without a participant: 1 7",
	"pairs of users with several conversations: 1 1/2",
	"messages without a receiver: 1 12",
	"messages that fit no room: 3 8 9 13",
	"messages of users who do not exist: 1 13",
	"messages without text: 1 12",
	"messages of a room that are not in the order of their ids: 1 4",
	"messages that were read although an earlier one of the same sender and room was not: 1 14",
	"metadata that is not JSON: 1 14",
}

func TestPlanFindsOddities(t *testing.T) {
	t.Parallel()
	d := predecessor(t,
		`ALTER TABLE "User_userprofile" DROP CONSTRAINT "User_userprofile_phone_number_key", DROP CONSTRAINT "User_userprofile_email_key"`,
		`INSERT INTO "User_userprofile" (id, name, email, phone_number, role, is_active, is_staff, is_superuser, password, gender, consent, verification_status, date_created)
		 SELECT id, '', email, phone, role, true, false, false, 'pbkdf2_sha256$870000$a$b', '', true, true, now() FROM (VALUES
			(16, 'theo@example.com', '+431', 'customer'), (17, NULL, NULL, 'customer'), (18, 'cleo@example.com', NULL, 'guest'),
			(9007199254740992, 'high@example.com', NULL, 'customer')) u (id, email, phone, role)`,
		`INSERT INTO chat_conversation (id, updated_at, is_active) VALUES (7, now(), true)`,
		`ALTER TABLE chat_message ALTER receiver_id DROP NOT NULL, DROP CONSTRAINT message_sender, ALTER metadata TYPE text`,
		`INSERT INTO chat_message (id, conversation_id, sender_id, receiver_id, content, created_at, is_read, message_type, metadata) VALUES
			(12, 3, 3, NULL, '', '2026-02-01+00', false, 'text', NULL), (13, 3, 99, 4, 'x', '2026-02-01+00', false, 'text', NULL),
			(14, 3, 3, 4, 'x', '2026-02-02+00', true, 'text', '{''a'': 1}')`)
	p, err := d.open(t).Plan(t.Context())
	if err != nil || len(p.Refusals) > 0 || p.Messages != 11 {
		t.Fatalf("%+v, %v", p, err)
	}
	var got []string
	for _, f := range p.Findings {
		what, _, _ := strings.Cut(f.What, " (")
		what, _, _ = strings.Cut(what, ",")
		what, _, _ = strings.Cut(what, ": ")
		got = append(got, fmt.Sprintf("%s: %d %s", what, f.Count, strings.Join(f.Examples, " ")))
	}
	if diff := cmp.Diff(odd, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	d.expect(t, "SELECT count(*) FROM roomspa.adoption", "0")
	d.apply(t) // as planned
	d.expect(t, "SELECT count(*) FROM roomspa.messages", fmt.Sprint(p.Messages))
	d.expectSame(t)
}

// A plan needs no schema roomspa, so an operator can make it before anything else.
func TestPlanWithoutRoomspa(t *testing.T) {
	t.Parallel()
	d := predecessor(t, `DROP SCHEMA roomspa CASCADE`)
	p, err := d.open(t).Plan(t.Context())
	if err != nil || p.Messages != 9 || !strings.Contains(strings.Join(p.Refusals, "\n"), "run roomspa migrate up first") {
		t.Errorf("%+v, %v", p, err)
	}
	if err := world.Migrate(t.Context(), d.url); err != nil {
		t.Fatal(err)
	}
	d.apply(t)
	d.expectSame(t)
}

func TestVerifyFindsDifferences(t *testing.T) {
	t.Parallel()
	d := predecessor(t)
	d.apply(t)
	d.exec(t, `UPDATE roomspa.messages SET body = 'other' WHERE number = 1`, `DELETE FROM roomspa.messages WHERE number = 11`,
		`UPDATE roomspa.cursors SET read_seq = 0 WHERE user_id = 1`, `UPDATE roomspa.messages SET read_at = NULL WHERE number = 2`,
		`DELETE FROM roomspa.refresh_families`, `UPDATE roomspa.messages SET created_at = '2026-01-05 10:00+00' WHERE number = 7`,
		`UPDATE roomspa.cursors SET read_seq = 4, delivered_seq = 7 WHERE user_id = 2`,
		`DELETE FROM roomspa.conversations WHERE number = 3`)
	want := []string{
		"room 1/2: 7 messages in roomspa, 7 in Django, with other contents",
		"room 5/4: 0 messages in roomspa, 1 in Django",
		"1 messages that Django has as read and roomspa as unread: 2",
		"1 read cursors behind an unread message of Django's although roomspa has stored nothing since: 3",
		"1 rooms whose messages are not ordered by time: ",
		"1 conversations of one customer and one therapist that have no room in roomspa, as customer/therapist: 3/4",
		"1 signed-out refresh tokens that roomspa would accept: signed-out",
	}
	got := d.verify(t).Differences
	for i := range got {
		if i < len(want) && strings.HasSuffix(want[i], ": ") {
			got[i] = got[i][:min(len(got[i]), len(want[i]))] // the id of a conversation is random
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var text strings.Builder
	if err := (&adopt.Plan{Schema: "public", Findings: []adopt.Finding{{What: "odd", Count: 7, Examples: []string{"1", "2"}}}}).WriteText(&text); err != nil || !strings.Contains(text.String(), "7  odd: 1, 2, …\n") {
		t.Errorf("%v\n%s", err, &text)
	}
}
