package adopt_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/tool/adopt"
)

// variants are live schemas that differ from what Django makes, and what becomes of them.
var variants = []struct {
	name    string
	change  string
	refusal string // a part of it; "" if the schema can be adopted
	note    string
}{
	{name: "no note of what Django makes", note: ""},
	{
		name: "integer keys and bigserial, as of a script and an older Django",
		change: `ALTER TABLE chat_message ALTER id DROP IDENTITY, ALTER id TYPE integer, ALTER sender_id TYPE integer, ALTER receiver_id TYPE integer, ALTER conversation_id TYPE integer;
			CREATE SEQUENCE message_seq OWNED BY chat_message.id; SELECT setval('message_seq', 11); ALTER TABLE chat_message ALTER id SET DEFAULT nextval('message_seq');
			ALTER TABLE "User_userprofile" ALTER id TYPE integer`,
		note: `"public"."chat_message".sender_id is integer`,
	},
	{
		name: "a sequence that nothing owns", change: `ALTER TABLE chat_message ALTER id DROP IDENTITY; CREATE SEQUENCE "Message seq"; SELECT setval('"Message seq"', 11);
			ALTER TABLE chat_message ALTER id SET DEFAULT nextval('"Message seq"')`,
	},
	{name: "always an identity", change: `ALTER TABLE chat_message ALTER id SET GENERATED ALWAYS; ALTER TABLE chat_conversation ALTER id SET GENERATED ALWAYS`},
	{
		name: "text for JSON", change: `ALTER TABLE chat_message ALTER metadata TYPE text; UPDATE chat_message SET metadata = '{''b'': 1}' WHERE id = 1`,
		note: `"public"."chat_message".metadata is text`,
	},
	{
		name: "missing columns", note: `"public"."chat_message".read_at is missing`,
		change: `ALTER TABLE chat_message DROP read_at, DROP metadata, DROP message_type; ALTER TABLE "User_userprofile" DROP name, DROP is_superuser;
			ALTER TABLE chat_conversation DROP created_at, DROP last_message_id, DROP title`,
	},
	{
		name: "no foreign keys and no receiver", note: `"public"."chat_message" has no foreign keys`,
		change: `ALTER TABLE chat_message DROP CONSTRAINT message_sender, DROP CONSTRAINT message_receiver, DROP CONSTRAINT message_conversation; ALTER TABLE chat_message DROP receiver_id`,
	},
	{
		name: "dates where the order does not need them", note: `"public"."chat_message".read_at is a date`,
		change: `ALTER TABLE chat_message ALTER read_at TYPE date; ALTER TABLE chat_conversation ALTER created_at TYPE date; ALTER TABLE "User_userprofile" ALTER date_created TYPE date`,
	},
	{name: "times without a zone", change: `ALTER TABLE chat_message ALTER created_at TYPE timestamp`, note: "has no time zone: its times are taken as UTC"},
	{name: "text for booleans", change: `ALTER TABLE chat_message ALTER is_read TYPE text; ALTER TABLE "User_userprofile" ALTER is_staff TYPE varchar(5)`, note: "are taken as true"},
	{name: "no list of signed-out tokens", change: `DROP TABLE token_blacklist_blacklistedtoken`, note: `"public"."token_blacklist_blacklistedtoken" does not exist`},
	{name: "another schema", change: `CREATE SCHEMA "the app"; ALTER TABLE "User_userprofile" SET SCHEMA "the app"; ALTER TABLE chat_conversation SET SCHEMA "the app";
			ALTER TABLE chat_conversation_participants SET SCHEMA "the app"; ALTER TABLE chat_message SET SCHEMA "the app"`},
	{
		name: "dates where the order is lost", change: `ALTER TABLE chat_message ALTER created_at TYPE date`,
		refusal: `"public"."chat_message".created_at is a date, so the order of the messages of one day is lost: if the ids are in the order of sending, make times of it by running ALTER TABLE`,
	},
	{
		name: "keys that are no numbers", change: `ALTER TABLE chat_conversation_participants DROP CONSTRAINT chat_conversation_participants_userprofile_id_fkey;
			ALTER TABLE chat_conversation_participants ALTER userprofile_id TYPE text`,
		refusal: `"public"."chat_conversation_participants".userprofile_id is text, but only whole numbers can be taken over: if its values are whole numbers, run ALTER TABLE`,
	},
	{name: "text for times", change: `ALTER TABLE chat_message ALTER created_at TYPE text`, refusal: `"public"."chat_message".created_at is text, but a time is needed: run ALTER TABLE`},
	{name: "no text", change: `ALTER TABLE chat_message RENAME content TO body`, refusal: `"public"."chat_message".content is missing: add the column`},
}

func TestSchemasThatDiffer(t *testing.T) {
	t.Parallel()
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			d := predecessor(t, v.change)
			p, err := d.open(t).Plan(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if notes := strings.Join(p.Notes, "\n"); !strings.Contains(notes, v.note) || v.change == "" && notes != "" {
				t.Errorf("notes:\n%s\nwant %s", notes, v.note)
			}
			_, err = d.open(t).Apply(t.Context())
			if v.refusal != "" {
				refusals := strings.Join(p.Refusals, "\n")
				if _, ok := errors.AsType[*adopt.Refusal](err); !strings.Contains(refusals, v.refusal) || err == nil || err.Error() != refusals {
					t.Errorf("%v (%t)\n%s\nwant %s", err, ok, refusals, v.refusal)
				}
				d.expect(t, "SELECT count(*) FROM roomspa.adoption", "0")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			d.expect(t, "SELECT m.seq, m.number, m.sender_id FROM roomspa.messages m JOIN roomspa.conversations c ON c.id = m.conversation_id WHERE customer_id = 1 AND therapist_id = 2 ORDER BY 1",
				"1 1 1", "2 2 2", "3 4 1", "4 3 1", "5 5 13", "6 6 2", "7 7 2")
			d.expectSame(t)
			d.own(t, 13)
			d.giveBack(t)
			d.expectSame(t)
			d.exec(t, `SET search_path = public, "the app"`)
			d.expect(t, `SELECT id, content, sender_id FROM chat_message WHERE id > 11 ORDER BY id`, "12 of roomspa 1", "13 of support 13")
		})
	}
}

// The cure that a refusal names must work.
func TestTheCureOfADate(t *testing.T) {
	t.Parallel()
	d := predecessor(t, `ALTER TABLE chat_message ALTER created_at TYPE date`)
	_, err := d.open(t).Apply(t.Context())
	_, cure, ok := strings.Cut(err.Error(), "by running ")
	if !ok {
		t.Fatal(err)
	}
	d.exec(t, cure)
	d.apply(t)
	d.expect(t, "SELECT m.number FROM roomspa.messages m JOIN roomspa.conversations c ON c.id = m.conversation_id WHERE customer_id = 1 AND therapist_id = 2 ORDER BY seq",
		"1", "2", "3", "4", "5", "6", "7")
}

func TestTablesThatAreNotThere(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"no schema of this database holds the tables":        `ALTER TABLE chat_message RENAME TO messages`,
		"Django's tables are in several schemas (b, public)": `CREATE SCHEMA b; CREATE VIEW b."User_userprofile" AS TABLE "User_userprofile"; CREATE VIEW b.chat_message AS TABLE chat_message; CREATE VIEW b.chat_conversation AS TABLE chat_conversation; CREATE VIEW b.chat_conversation_participants AS TABLE chat_conversation_participants`,
	} {
		d := predecessor(t, change)
		if _, err := adopt.Open(t.Context(), d.options(t)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want %s, got %v", name, err)
		}
	}
}
