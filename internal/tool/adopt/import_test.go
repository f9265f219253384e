package adopt_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/adopt"
)

// wantFindings is what make.py has put into the predecessor's database.
var wantFindings = map[string]int64{
	"unknown_role": 1, "duplicate_email": 1, "bad_user_id": 1, "no_email": 1, "duplicate_phone": 1, "unknown_hash": 1,
	"merged_conversations": 1, "wrong_role": 1, "no_such_user": 1,
	"no_conversation": 1, "conversation_left": 2, "foreign_sender": 1, "empty_text": 1,
}

// texts returns a conversation of ours as "seq sender text", in the order of seq.
func texts(t testing.TB, databaseURL string, r room.Room) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	rows, _ := conn.Query(t.Context(), `SELECT format('%s %s %s', m.seq, m.sender_id, m.body) FROM roomspa.messages m
		JOIN roomspa.conversations c ON c.id = m.conversation_id WHERE c.customer_id = $1 AND c.therapist_id = $2 ORDER BY m.seq`, r.Customer, r.Therapist)
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestImportBringsOverWhatCanBe(t *testing.T) {
	t.Parallel()
	source := dumped(t)
	db, target := open(t)
	report, err := adopt.Import(t.Context(), options(source), db)
	if err != nil {
		t.Fatal(err)
	}
	want := adopt.Report{
		Users:         adopt.Count{Read: 12, Added: 9, LeftOut: 3},
		Conversations: adopt.Count{Read: 6, Added: 3, Known: 1, LeftOut: 2},
		Messages:      adopt.Count{Read: 16, Added: 12, LeftOut: 4},
	}
	for _, c := range []struct{ got, want adopt.Count }{
		{report.Users, want.Users}, {report.Conversations, want.Conversations}, {report.Messages, want.Messages},
	} {
		if c.got != c.want {
			t.Errorf("%+v, want %+v", c.got, c.want)
		}
	}
	if diff := cmp.Diff(wantFindings, found(report)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	for r, want := range map[room.Room][]string{
		{Customer: 1, Therapist: 2}: {"1 1 first", "2 1 second", "3 2 third ✓", "4 2 "},
		{Customer: 1, Therapist: 4}: {"1 1 in two conversations: 1", "2 4 in two conversations: 2", "3 4 in two conversations: 3"},
		{Customer: 2, Therapist: 4}: {},
		{Customer: 5, Therapist: 2}: {},
	} {
		if diff := cmp.Diff(want, texts(t, target, r)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", r, diff)
		}
	}
	u, err := db.FindUser(t.Context(), "3")
	if err != nil || u.Role != room.Customer || !u.Active {
		t.Errorf("the client: %+v, %v", u, err)
	}
	if u, err := db.CreateUser(t.Context(), room.User{Email: "new@example.com", Role: room.Customer}, "!"); err != nil || u.ID <= 11 {
		t.Errorf("a new user got id %d, %v", u.ID, err)
	}
}

func TestRehearsalWritesNothingAndSaysTheSame(t *testing.T) {
	t.Parallel()
	source := dumped(t)
	db, target := open(t)
	o := options(source)
	o.Rehearse = true
	rehearsed, err := adopt.Import(t.Context(), o, db)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var rows int
	if err := conn.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM roomspa.users) + (SELECT count(*) FROM roomspa.conversations) +
		(SELECT count(*) FROM roomspa.messages)`).Scan(&rows); err != nil || rows != 0 {
		t.Errorf("the rehearsal has left %d rows, %v", rows, err)
	}
	o.Rehearse = false
	done, err := adopt.Import(t.Context(), o, db)
	if err != nil {
		t.Fatal(err)
	}
	rehearsed.Rehearsal, rehearsed.TookMS, done.TookMS = false, 0, 0
	if diff := cmp.Diff(rehearsed, done); diff != "" {
		t.Errorf("it was rehearsed otherwise:\n%s", diff)
	}
}

func TestImportIsRepeated(t *testing.T) {
	t.Parallel()
	source := dumped(t)
	db, target := open(t)
	first, err := adopt.Import(t.Context(), options(source), db)
	if err != nil {
		t.Fatal(err)
	}
	again, err := adopt.Import(t.Context(), options(source), db)
	if err != nil || again.Users.Added+again.Conversations.Added+again.Messages.Added != 0 ||
		again.Users.Known != first.Users.Added || again.Messages.Known != first.Messages.Added {
		t.Errorf("a second time: %+v, %v", again, err)
	}
	world.Exec(t, source, `
		INSERT INTO chat_message VALUES
			('00000000-0000-0000-0000-0000000a0001', '00000000-0000-0000-0000-00000000c001', 1, 'later', '2024-06-01'),
			('00000000-0000-0000-0000-0000000a0002', '00000000-0000-0000-0000-00000000c001', 1, 'even later', '2024-06-02'),
			('00000000-0000-0000-0000-0000000a0003', '00000000-0000-0000-0000-00000000c002', 3, 'older than all', '2024-01-01');
		UPDATE chat_message SET message = 'edited' WHERE message = 'second';
		UPDATE app_user SET is_active = false WHERE id = 4;
		INSERT INTO app_user (id, username, email, role, password, is_superuser, first_name, last_name, is_staff, is_active, date_joined)
		VALUES (20, 'new', 'new@example.com', 'customer', '!', false, '', '', false, true, now())`)
	third, err := adopt.Import(t.Context(), options(source), db)
	if err != nil || third.Users.Added != 1 || third.Messages.Added != 3 {
		t.Errorf("a third time: %+v, %v", third, err)
	}
	kinds := found(third)
	if kinds["late"] != 1 || kinds["message_changed"] != 1 || kinds["user_changed"] != 1 {
		t.Errorf("findings: %v", kinds)
	}
	want := []string{"1 1 first", "2 1 second", "3 2 third ✓", "4 2 ", "5 1 later", "6 1 even later"}
	if diff := cmp.Diff(want, texts(t, target, room.Room{Customer: 1, Therapist: 2})); diff != "" {
		t.Error(diff)
	}
	if got := texts(t, target, room.Room{Customer: 3, Therapist: 4}); len(got) != 6 || got[5] != "6 3 older than all" {
		t.Errorf("%q", got)
	}
	if _, err := db.EraseUser(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	world.Exec(t, source, `INSERT INTO chat_message VALUES
		('00000000-0000-0000-0000-0000000a0004', '00000000-0000-0000-0000-00000000c002', 3, 'too late', '2024-06-03')`)
	last, err := adopt.Import(t.Context(), options(source), db)
	if kinds := found(last); err != nil || kinds["erased_user"] != 1 || kinds["erased_message"] != 1 {
		t.Errorf("after an erasure: %v, %v", kinds, err)
	}
	for _, line := range texts(t, target, room.Room{Customer: 3, Therapist: 4}) {
		if !strings.HasSuffix(line, " 3 ") {
			t.Errorf("an import has brought back: %s", line)
		}
	}
}

func TestImportOfMoreThanABatch(t *testing.T) {
	t.Parallel()
	source := dumped(t)
	const n = 2500
	world.Exec(t, source, `
		INSERT INTO app_user (id, username, email, role, password, is_superuser, first_name, last_name, is_staff, is_active, date_joined)
		SELECT i, 'many' || i, 'many' || i || '@example.com', CASE i % 2 WHEN 0 THEN 'therapist' ELSE 'customer' END, '!', false, '', '', false, true, now()
		FROM generate_series(1001, 1000 + 2 * $1::int) i`, n)
	world.Exec(t, source, `INSERT INTO chat_conversation SELECT gen_random_uuid(), 1000 + 2 * i - 1, 1000 + 2 * i, now() FROM generate_series(1, $1::int) i`, n)
	world.Exec(t, source, `INSERT INTO chat_message
		SELECT gen_random_uuid(), c.id, c.customer_id, 'text ' || i, timestamptz '2024-01-01' + i * interval '1 second'
		FROM chat_conversation c CROSS JOIN generate_series(1, CASE c.customer_id WHEN 1001 THEN 3000 ELSE 1 END) i WHERE c.customer_id > 1000`)
	db, target := open(t)
	told := 0
	o := options(source)
	o.Progress = func(adopt.Report) { told++ }
	report, err := adopt.Import(t.Context(), o, db)
	if err != nil || report.Users.Added != 9+2*n || report.Conversations.Added != 3+n || report.Messages.Added != 12+n-1+3000 || told < 3 {
		t.Fatalf("%+v, told %d times, %v", report, told, err)
	}
	long := texts(t, target, room.Room{Customer: 1001, Therapist: 1002})
	for i, line := range long {
		if want := fmt.Sprintf("%d 1001 text %d", i+1, i+1); line != want {
			t.Fatalf("%q, want %q", line, want)
		}
	}
	if len(long) != 3000 {
		t.Errorf("%d messages", len(long))
	}
}

func TestImportGoesOnWhereItWasInterrupted(t *testing.T) {
	t.Parallel()
	source := dumped(t)
	db, target := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	o := options(source)
	o.Progress = func(r adopt.Report) {
		if r.Conversations.Read > 0 && r.Messages.Read == 0 {
			cancel()
		}
	}
	if report, err := adopt.Import(ctx, o, db); err == nil || report.Users.Added != 9 {
		t.Fatalf("interrupted: %+v, %v", report, err)
	}
	if report, err := adopt.Import(t.Context(), options(source), db); err != nil || report.Users.Known != 9 || report.Messages.Added != 12 {
		t.Errorf("%+v, %v", report, err)
	}
	if got := texts(t, target, room.Room{Customer: 1, Therapist: 2}); len(got) != 4 {
		t.Errorf("%q", got)
	}
}

func TestImportSaysWhatIsWrongWithTheSource(t *testing.T) {
	t.Parallel()
	source := dumped(t)
	db, _ := open(t)
	for name, tt := range map[string]struct {
		edit func(*adopt.Options)
		want string
	}{
		"a table":              {func(o *adopt.Options) { o.Tables.Users = "auth_user" }, "there is no table auth_user: name it with --users-table"},
		"a column":             {func(o *adopt.Options) { o.Tables.MessageText = "body" }, `the table chat_message has no column "body"`},
		"a URL that is none":   {func(o *adopt.Options) { o.URL = "postgres://user:geheim@host:port/" }, "is invalid"},
		"a server that is not": {func(o *adopt.Options) { o.URL = "postgres://user:geheim@127.0.0.1:1/x" }, "connection refused"},
		"a role that is none":  {func(o *adopt.Options) { o.Roles = nil }, ""},
	} {
		o := options(source)
		o.Rehearse = true
		tt.edit(&o)
		report, err := adopt.Import(t.Context(), o, db)
		switch {
		case tt.want == "" && (err != nil || found(report)["unknown_role"] != 2):
			t.Errorf("%s: %+v, %v", name, report, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "geheim")):
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestImportFromTablesOfAnotherShape(t *testing.T) {
	t.Parallel()
	source := dumped(t)
	world.Exec(t, source, `
		CREATE SCHEMA old;
		CREATE TABLE old.person (pk int PRIMARY KEY, mail text, kind text, ok boolean, pw text);
		CREATE TABLE old.talk (pk serial PRIMARY KEY, a int, b int);
		CREATE TABLE old.line (pk serial PRIMARY KEY, talk int, who int, what text, at timestamp);
		INSERT INTO old.person VALUES (1, 'a@example.com', 'client', true, '!'), (2, 'b@example.com', 'therapist', true, '!');
		INSERT INTO old.talk (a, b) VALUES (1, 2);
		INSERT INTO old.line (talk, who, what, at) VALUES (1, 1, 'ten', '2024-01-01 12:00'), (1, 2, 'two', '2024-01-01 11:00'), (1, 2, 'eleven', '2024-01-01 12:00')`)
	db, target := open(t)
	o := options(source)
	o.TimeZone = "Europe/Vienna"
	o.Tables = adopt.Tables{
		Users: "old.person", UserID: "pk", UserEmail: "mail", UserPhone: "phone", UserJoined: "date_joined", UserRole: "kind", UserActive: "ok", UserPassword: "pw",
		Conversations: "old.talk", ConversationID: "pk", ConversationCustomer: "a", ConversationTherapist: "b", ConversationCreated: "created_at",
		Messages: "old.line", MessageID: "pk", MessageConversation: "talk", MessageSender: "who", MessageText: "what", MessageCreated: "at",
	}
	for range 2 { // the second time it knows them all
		report, err := adopt.Import(t.Context(), o, db)
		if err != nil || found(report)["no_column"] != 3 || !report.Complete() {
			t.Fatalf("%+v, %v", report, err)
		}
	}
	if diff := cmp.Diff([]string{"1 2 two", "2 1 ten", "3 2 eleven"}, texts(t, target, room.Room{Customer: 1, Therapist: 2})); diff != "" {
		t.Error(diff)
	}
	list, _, err := db.Summaries(t.Context(), 1, nil, 1, 1<<20)
	if err != nil || !list[0].Last.At.Equal(time.Date(2024, 1, 1, 11, 0, 0, 0, time.UTC)) {
		t.Errorf("noon in Vienna is %v, %v", list[0].Last.At, err)
	}
}

// TestImportWhereDjangoKeepsTheUsers has both systems in one database, ours with a
// view over the predecessor's users.
func TestImportWhereDjangoKeepsTheUsers(t *testing.T) {
	t.Parallel()
	sql, err := os.ReadFile(fixture)
	if err != nil {
		t.Fatal(err)
	}
	db, both := open(t)
	world.Exec(t, both, string(sql))
	world.Exec(t, both, `
		DROP TABLE roomspa.users;
		CREATE VIEW roomspa.users AS
		SELECT id, email, phone, CASE role WHEN 'client' THEN 'customer' ELSE role END AS role, is_active, password,
			NULL::timestamptz AS tokens_valid_after, date_joined AS created_at
		FROM public.app_user WHERE role IN ('customer', 'client', 'therapist', 'support')`)
	o := options(both)
	o.NoUsers = true
	report, err := adopt.Import(t.Context(), o, db)
	// The one who was left out for the case of an address is a user now.
	if err != nil || report.Users.Read != 0 || report.Conversations.Added != 4 || report.Messages.Added != 13 {
		t.Errorf("%+v, %v", report, err)
	}
	if u, err := db.FindUser(t.Context(), "cara@example.com"); err != nil || u.Role != room.Customer || !u.Active {
		t.Errorf("%+v, %v", u, err)
	}
	list, _, err := db.Summaries(t.Context(), 3, nil, 10, 1<<20)
	if err != nil || len(list) != 1 || list[0].Last.Text != "message 5" {
		t.Errorf("%+v, %v", list, err)
	}
}
