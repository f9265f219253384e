package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/roomspa/roomspa/internal/room"
)

const beginErasure = `
INSERT INTO roomspa.erasures (user_id) VALUES ($1) ON CONFLICT (user_id) DO UPDATE SET finished_at = NULL`

// eraseUser keeps the row: the other side may still read its own messages, and a room
// needs both users. The domain of the address cannot exist (RFC 2606 §2).
const eraseUser = `
UPDATE roomspa.users
SET email = 'erased-' || id || '@erased.invalid', phone = NULL, password = '!', is_active = false,
	tokens_valid_after = date_trunc('second', now()) + interval '1 second'
WHERE id = $1`

const conversationsToErase = `
SELECT c.id, coalesce((
	SELECT m.seq FROM roomspa.messages m WHERE m.conversation_id = c.id ORDER BY m.seq DESC LIMIT 1
), 0)
FROM (
	SELECT id FROM roomspa.conversations WHERE customer_id = $1
	UNION ALL
	SELECT id FROM roomspa.conversations WHERE therapist_id = $1
) c`

const eraseMessages = `
UPDATE roomspa.messages SET body = '', client_message_id = NULL, erased_at = now()
WHERE conversation_id = $1 AND seq BETWEEN $2 AND $3 AND sender_id = $4 AND erased_at IS NULL`

const finishErasure = `UPDATE roomspa.erasures SET finished_at = now() WHERE user_id = $1`

// eraseBatch is the number of messages in one transaction.
const eraseBatch = 2000

// EraseUser erases a user's personal data: the email address, the phone number, the
// password, and the text of each message that the user has sent. Rows and numbers stay,
// so that no history gets a hole. It returns the number of erased messages.
//
// It uses many short transactions. After an error call it again. Call it again also if
// the user had a socket open: new ones are refused from the first transaction on.
// EraseUser returns [room.ErrNotFound] if there is no such user.
func (db *DB) EraseUser(ctx context.Context, id room.UserID) (messages int64, err error) {
	fail := func(err error) (int64, error) { return messages, fmt.Errorf("erase user %d: %w", id, err) }
	first := db.newWrite()
	first.Queue(eraseUser, int64(id)).Exec(requireRow)
	first.Queue(beginErasure, int64(id))
	if err := db.send(ctx, first); err != nil {
		return fail(err)
	}
	last := map[room.ID]int64{}
	err = db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, conversationsToErase, int64(id))
		var c room.ID
		var seq int64
		_, err := pgx.ForEachRow(rows, []any{&c, &seq}, func() error { last[c] = seq; return nil })
		return err
	})
	if err != nil {
		return fail(err)
	}
	for c, seq := range last {
		for from := int64(1); from <= seq; from += eraseBatch {
			b := db.newWrite()
			b.Queue(eraseMessages, c, from, from+eraseBatch-1, int64(id)).Exec(func(tag pgconn.CommandTag) error {
				messages += tag.RowsAffected()
				return nil
			})
			if err := db.send(ctx, b); err != nil {
				return fail(err)
			}
		}
	}
	end := db.newWrite()
	end.Queue(finishErasure, int64(id))
	if err := db.send(ctx, end); err != nil {
		return fail(err)
	}
	return messages, nil
}
