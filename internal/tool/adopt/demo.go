package adopt

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

// Tables is the SQL that makes the predecessor's tables, for demonstrations and tests.
//
//go:embed tables.sql
var Tables string

// insertDemo adds users, and a conversation of the first two of them.
const insertDemo = `
WITH users AS (
	INSERT INTO "User_userprofile" (id, name, email, role, is_active, is_staff, is_superuser, password, gender, consent, verification_status, date_created)
	SELECT id, initcap(role) || ' ' || id, email, CASE role WHEN 'support' THEN 'admin' ELSE role END, true, role = 'support', false, $4, 'other', true, true, now()
	FROM unnest($1::bigint[], $2::text[], $3::text[]) AS u (id, email, role)
), conversation AS (
	INSERT INTO chat_conversation (id, updated_at, created_at, is_active) VALUES (1, now(), now() - interval '1 hour', true)
), participants AS (
	INSERT INTO chat_conversation_participants (conversation_id, userprofile_id) VALUES (1, 1), (1, 2)
)
INSERT INTO chat_message (id, conversation_id, sender_id, receiver_id, content, created_at, is_read, read_at, message_type) VALUES
	(1, 1, 1, 2, 'Is the side door open?', now() - interval '1 hour', true, now() - interval '50 minutes', 'text'),
	(2, 1, 2, 1, 'Yes, please ring twice.', now() - interval '45 minutes', false, NULL, 'text')`

const raiseDemoSequences = `
SELECT setval(pg_get_serial_sequence('"User_userprofile"', 'id'), (SELECT max(id) FROM "User_userprofile")),
	setval(pg_get_serial_sequence('chat_conversation', 'id'), 1), setval(pg_get_serial_sequence('chat_message', 'id'), 2)`

// LoadDemo makes the predecessor's tables in an empty database, with users that share the hash of
// a password, and adopts them. It does nothing if the tables exist.
func LoadDemo(ctx context.Context, database postgres.Options, users []room.User, hash string) error {
	made, err := makeDemo(ctx, database, users, hash)
	if err != nil {
		return fmt.Errorf("make the predecessor's tables: %w", err)
	}
	if !made {
		return nil
	}
	var out strings.Builder
	a, err := Open(ctx, Options{Database: database, Out: &out})
	if err != nil {
		return err
	}
	defer a.Close(ctx)
	_, err = a.Apply(ctx)
	return err
}

func makeDemo(ctx context.Context, database postgres.Options, users []room.User, hash string) (made bool, err error) {
	conn, err := postgres.Dial(ctx, database, "roomspa dev")
	if err != nil {
		return false, err //nolint:wrapcheck // the caller says what was being done
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var exists bool
	if err := conn.QueryRow(ctx, `SELECT to_regclass('public."User_userprofile"') IS NOT NULL`).Scan(&exists); err != nil || exists {
		return false, err //nolint:wrapcheck // as above
	}
	ids, emails, roles := make([]int64, len(users)), make([]string, len(users)), make([]string, len(users))
	for i, u := range users {
		ids[i], emails[i], roles[i] = int64(u.ID), u.Email, string(u.Role)
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return false, err //nolint:wrapcheck // as above
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	// A role called roomspa would make them in the schema of this name.
	if _, err := tx.Exec(ctx, "SET LOCAL search_path = public; "+Tables); err != nil {
		return false, err //nolint:wrapcheck // as above
	}
	if _, err := tx.Exec(ctx, insertDemo, ids, emails, roles, hash); err != nil {
		return false, err //nolint:wrapcheck // as above
	}
	if _, err := tx.Exec(ctx, raiseDemoSequences); err != nil {
		return false, err //nolint:wrapcheck // as above
	}
	return true, tx.Commit(ctx)
}
