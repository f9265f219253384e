package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

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
SET email = 'erased-' || id || '@erased.invalid', phone = NULL, name = NULL, password = '!', is_active = false
WHERE id = $1`

const conversationsToErase = `
SELECT id FROM roomspa.conversations WHERE customer_id = $1
UNION ALL
SELECT id FROM roomspa.conversations WHERE therapist_id = $1`

const conversationsOfSupport = `
SELECT DISTINCT conversation_id FROM roomspa.messages WHERE sender_role = 'support' AND sender_id = $1`

const lastSeq = `SELECT seq FROM roomspa.messages WHERE conversation_id = $1 ORDER BY seq DESC LIMIT 1`

const eraseMessages = `
UPDATE roomspa.messages SET body = '', message_type = NULL, metadata = NULL, client_message_id = NULL, erased_at = now()
WHERE conversation_id = $1 AND seq BETWEEN $2 AND $3 AND sender_id = $4 AND erased_at IS NULL`

// eraseReports empties what the user wrote. Which message was reported, and when, stays.
const eraseReports = `UPDATE roomspa.reports SET body = '', reason = 'erased' WHERE reporter_id = $1`

const finishErasure = `UPDATE roomspa.erasures SET finished_at = now() WHERE user_id = $1`

// eraseBatch is the number of messages in one transaction.
const eraseBatch = 2000

// EraseUser erases a user's personal data: the email address, the phone number, the name, the
// password, the text, the type and the metadata of each message that the user has sent, and the
// text of each report. Rows and numbers stay, so that no history gets a hole. It returns the
// number of erased messages.
//
// It uses many short transactions. After an error call it again. Once it has returned
// without an error, no text of the user can be stored: the first transaction marks the user,
// and no insert that sees the mark stores a message of theirs. Inserts that do not see it are
// waited for before anything is erased. EraseUser returns [room.ErrNotFound] if there is no such
// user, and [ErrUsersAreView] where another application owns the users.
func (db *DB) EraseUser(ctx context.Context, id room.UserID) (messages int64, err error) {
	if err = db.requireOwnUsers(ctx); err == nil {
		first := db.newWrite()
		first.Queue(signOut, int64(id), time.Time{}).Exec(requireRow)
		first.Queue(copySignOut, int64(id))
		first.Queue(eraseUser, int64(id)).Exec(requireRow)
		first.Queue(beginErasure, int64(id))
		err = db.send(ctx, first)
	}
	if err == nil {
		messages, err = db.eraseTexts(ctx, id)
	}
	if err != nil {
		return messages, fmt.Errorf("erase user %d: %w", id, err)
	}
	return messages, nil
}

// eraseTexts erases what a user has written whose erasure has begun, and ends the erasure.
func (db *DB) eraseTexts(ctx context.Context, id room.UserID) (messages int64, err error) {
	if err := db.waitForInserts(ctx); err != nil {
		return messages, err
	}
	if messages, err = db.eraseConversations(ctx, conversationsToErase, id); err != nil {
		return messages, err
	}
	n, err := db.eraseConversations(ctx, conversationsOfSupport, id)
	if messages += n; err != nil {
		return messages, err
	}
	end := db.newWrite()
	end.Queue(eraseReports, int64(id)) // no report of theirs can follow: the conversations were locked
	end.Queue(finishErasure, int64(id))
	return messages, db.send(ctx, end)
}

// eraseConversations erases the messages of a user in the conversations that a query returns.
func (db *DB) eraseConversations(ctx context.Context, query string, id room.UserID) (messages int64, err error) {
	var conversations []room.ID
	err = db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) (err error) {
		rows, _ := conn.Query(ctx, query, int64(id))
		conversations, err = pgx.CollectRows(rows, pgx.RowTo[room.ID])
		return err
	})
	for _, c := range conversations {
		n, err := db.eraseConversation(ctx, c, id)
		if messages += n; err != nil {
			return messages, err
		}
	}
	return messages, err
}

// eraseConversation erases the messages of a user whose erasure has begun, and returns their
// number.
func (db *DB) eraseConversation(ctx context.Context, c room.ID, id room.UserID) (messages int64, err error) {
	var last int64
	locked := db.newWrite()
	locked.Queue(lockConversations, []room.ID{c})
	locked.Queue(lastSeq, c).QueryRow(func(row pgx.Row) error {
		if err := row.Scan(&last); !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		return nil
	})
	if err := db.send(ctx, locked); err != nil {
		return 0, err
	}
	for from := int64(1); from <= last; from += eraseBatch {
		b := db.newWrite()
		b.Queue(eraseMessages, c, from, from+eraseBatch-1, int64(id)).Exec(func(tag pgconn.CommandTag) error {
			messages += tag.RowsAffected()
			return nil
		})
		if err := db.send(ctx, b); err != nil {
			return messages, err
		}
	}
	return messages, nil
}
