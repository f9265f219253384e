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

// eraseUser leaves the row: the other side may go on reading what it said itself,
// and a room needs both. The address is of a domain that cannot exist (RFC 2606 §2).
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

// eraseAtOnce is how many numbers of a conversation one transaction goes through.
const eraseAtOnce = 2000

// EraseUser removes what makes a user a person: the email address, the phone number,
// the password, and the text of each message that they sent. Rows and numbers stay,
// so nobody's history gets a hole. It returns how many messages it has emptied.
//
// It works in many short transactions. One that is interrupted is taken up by
// calling it again, which is also what to do if the user still had a socket open:
// from the first transaction on, no new one is accepted. A user who does not exist
// is [room.ErrNotFound].
func (db *DB) EraseUser(ctx context.Context, id room.UserID) (messages int64, err error) {
	fail := func(err error) (int64, error) { return messages, fmt.Errorf("erase user %d: %w", id, err) }
	first := db.writing()
	first.Queue(eraseUser, int64(id)).Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() == 0 {
			return pgx.ErrNoRows
		}
		return nil
	})
	first.Queue(beginErasure, int64(id))
	if err := db.sendTrip(ctx, first); err != nil {
		return fail(err)
	}
	last := map[room.ID]int64{}
	err = db.trip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
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
		for from := int64(1); from <= seq; from += eraseAtOnce {
			b := db.writing()
			b.Queue(eraseMessages, c, from, from+eraseAtOnce-1, int64(id)).Exec(func(tag pgconn.CommandTag) error {
				messages += tag.RowsAffected()
				return nil
			})
			if err := db.sendTrip(ctx, b); err != nil {
				return fail(err)
			}
		}
	}
	end := db.writing()
	end.Queue(finishErasure, int64(id))
	if err := db.sendTrip(ctx, end); err != nil {
		return fail(err)
	}
	return messages, nil
}

// sendTrip runs a pipeline as one trip.
func (db *DB) sendTrip(ctx context.Context, b *pgx.Batch) error {
	return db.trip(ctx, func(ctx context.Context, conn *pgx.Conn) error { return send(ctx, conn, b) })
}
