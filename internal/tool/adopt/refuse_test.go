package adopt_test

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/tool/adopt"
)

func TestApplyRefusesWhatWouldBeLost(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ before, refusal string }{
		"users": {
			`INSERT INTO roomspa.users (email, role, password) VALUES ('a@example.com', 'customer', '!')`, "roomspa.users holds 1 users of its own",
		},
		"messages": {
			`INSERT INTO roomspa.messages (conversation_id, seq, id, sender_id, sender_role, body, created_at) VALUES (gen_random_uuid(), 1, gen_random_uuid(), 1, 'customer', 'x', now())`,
			"roomspa has stored 1 messages, and none of them came from Django",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := predecessor(t, test.before)
			if p, err := d.open(t).Plan(t.Context()); err != nil || !strings.Contains(strings.Join(p.Refusals, "\n"), test.refusal) {
				t.Errorf("the plan: %v, %v", p.Refusals, err)
			}
			if _, err := d.open(t).Apply(t.Context()); err == nil || !strings.Contains(err.Error(), test.refusal) {
				t.Errorf("got %v", err)
			}
			d.expect(t, "SELECT relkind::text FROM pg_class WHERE oid = 'roomspa.users'::regclass", "r")
		})
	}
}

func TestWritersAreNamed(t *testing.T) {
	t.Parallel()
	d := predecessor(t)
	u, err := url.Parse(d.url)
	if err != nil {
		t.Fatal(err)
	}
	u.RawQuery = "application_name=gunicorn&" + u.RawQuery
	django := &database{url: u.String(), conn: connect(t, u.String())}
	django.exec(t, publicFirst, "BEGIN", `UPDATE chat_message SET is_read = true WHERE id = 5`)
	writers, err := d.open(t).Apply(t.Context())
	if err != nil || len(writers) != 1 || !strings.Contains(writers[0], "(gunicorn): idle in transaction since ") {
		t.Errorf("%v, %v", writers, err)
	}
	django.exec(t, "COMMIT")
	d.apply(t)
	d.expect(t, cursors, "1/2 1 5 5", "1/2 2 3 3", "1/4 1 1 1", "5/4 4 1 1", "5/4 5 1 1")
}

// Messages that come during the run are copied by it.
func TestApplyTakesWhatComesMeanwhile(t *testing.T) {
	t.Parallel()
	d := predecessor(t)
	sent := false
	a := d.open(t, func(o *adopt.Options) {
		o.Progress = func(adopt.Progress) {
			if !sent {
				sent = true
				d.exec(t, `INSERT INTO chat_message (conversation_id, sender_id, receiver_id, content, created_at, is_read, message_type) VALUES (2, 2, 1, 'meanwhile', now(), false, 'text')`)
			}
		}
	})
	if writers, err := a.Apply(t.Context()); err != nil || len(writers) > 0 {
		t.Errorf("%v, %v", writers, err)
	}
	d.expect(t, "SELECT number, body FROM roomspa.messages WHERE number > 11", "12 meanwhile")
}

// A message that roomspa stores during the run is none that Django has deleted.
func TestApplyLeavesWhatRoomspaStoresMeanwhile(t *testing.T) {
	t.Parallel()
	d := predecessor(t)
	stored := false
	a := d.open(t, func(o *adopt.Options) {
		o.Progress = func(p adopt.Progress) {
			if p.Step == "changes" && !stored {
				stored = true
				d.exec(t, `INSERT INTO roomspa.messages (conversation_id, seq, id, sender_id, sender_role, body, created_at)
					SELECT id, 8, gen_random_uuid(), 1, 'customer', 'of roomspa', now() FROM roomspa.conversations WHERE number = 2`)
			}
		}
	})
	if _, err := a.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.expect(t, "SELECT number, body, erased_at FROM roomspa.messages WHERE number > 11", "12 of roomspa <nil>")
	if _, err := d.open(t).Apply(t.Context()); err == nil || !strings.Contains(err.Error(), "roomspa has stored 1 messages of its own") {
		t.Errorf("got %v", err)
	}
}

func TestNoSuperuserIsNeeded(t *testing.T) {
	t.Parallel()
	d := predecessor(t)
	// Django's tables belong to somebody else, and the replicas have a role of their own. Roles are of
	// the whole server, so their names are those of this database.
	name := d.rows(t, "SELECT current_database()")[0]
	role, replica := name+"_adopt", name+"_replica"
	d.exec(t, "CREATE ROLE "+role+" LOGIN PASSWORD 'secret'", "CREATE ROLE "+replica, "GRANT USAGE ON SCHEMA roomspa TO "+replica,
		"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA roomspa TO "+replica, "ALTER SCHEMA roomspa OWNER TO "+role)
	for _, table := range d.rows(t, "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'roomspa'::regnamespace AND relkind = 'r'") {
		d.exec(t, "ALTER TABLE "+table+" OWNER TO "+role)
	}
	d.exec(t, "ALTER SEQUENCE roomspa.message_numbers OWNER TO "+role, "ALTER SEQUENCE roomspa.conversation_numbers OWNER TO "+role,
		"ALTER FUNCTION roomspa.json_or_null(text) OWNER TO "+role, "REVOKE ALL ON SCHEMA public FROM PUBLIC")
	t.Cleanup(func() {
		if _, err := d.conn.Exec(context.WithoutCancel(t.Context()), "DROP OWNED BY "+role+", "+replica+" CASCADE; DROP ROLE "+role+", "+replica); err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(d.url)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, "secret")
	limited := &database{url: u.String(), conn: d.conn}
	for _, operation := range []func() error{
		func() error { _, err := limited.open(t).Apply(t.Context()); return err },
		func() error { return limited.open(t).Return(t.Context()) },
	} {
		// Each refusal names what is missing, and no more than that is needed.
		for range 3 {
			err := operation()
			if err == nil {
				break
			}
			_, grants, ok := strings.Cut(err.Error(), "let the owner of Django's tables run:\n")
			if !ok {
				t.Fatal(err)
			}
			d.exec(t, grants)
		}
		if err := operation(); err != nil {
			t.Fatal(err)
		}
	}
	limited.expectSame(t)
	d.exec(t, "SET ROLE "+replica)
	d.expect(t, "SELECT count(*) FROM roomspa.users", "8")
	d.exec(t, "RESET ROLE")
}
