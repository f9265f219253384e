package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

// advanceCursors raises cursors, in the order of their keys so that two replicas cannot deadlock.
// A cursor that another transaction has raised meanwhile is not returned as grown; old is then
// older than that.
const advanceCursors = `
WITH mark AS MATERIALIZED (
	SELECT k.*, coalesce((
		SELECT m.seq FROM roomspa.messages m WHERE m.conversation_id = k.conversation_id ORDER BY m.seq DESC LIMIT 1
	), 0) AS last_seq
	FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY
		AS k (conversation_id, user_id, delivered_seq, read_seq, n)
), grown AS (
	INSERT INTO roomspa.cursors AS c (conversation_id, user_id, delivered_seq, read_seq, changed_at)
	SELECT conversation_id, user_id, delivered_seq, read_seq, clock_timestamp()
	FROM mark
	WHERE delivered_seq <= last_seq
	ORDER BY conversation_id, user_id
	ON CONFLICT (conversation_id, user_id) DO UPDATE
	SET delivered_seq = greatest(c.delivered_seq, excluded.delivered_seq),
		read_seq = greatest(c.read_seq, excluded.read_seq),
		changed_at = greatest(c.changed_at, excluded.changed_at)
	WHERE excluded.delivered_seq > c.delivered_seq OR excluded.read_seq > c.read_seq
	RETURNING conversation_id, user_id, delivered_seq, read_seq
)
SELECT k.n, k.last_seq, coalesce(g.delivered_seq, old.delivered_seq, 0), coalesce(g.read_seq, old.read_seq, 0), g.user_id IS NOT NULL
FROM mark k
LEFT JOIN grown g ON g.conversation_id = k.conversation_id AND g.user_id = k.user_id
LEFT JOIN LATERAL (
	SELECT delivered_seq, read_seq FROM roomspa.cursors
	WHERE conversation_id = k.conversation_id AND user_id = k.user_id LIMIT 1
) old ON true`

// AdvanceCursors raises the cursors of users in one transaction. It returns what became of each
// receipt, in the same order. A cursor is never lowered, and not touched if its receipt is beyond
// the last message of the conversation. No two receipts may be of the same user and conversation.
func (db *DB) AdvanceCursors(ctx context.Context, receipts []room.Receipt) ([]room.Advance, error) {
	n := len(receipts)
	conversations, users := make([]room.ID, n), make([]int64, n)
	delivered, read := make([]int64, n), make([]int64, n)
	for i, r := range receipts {
		conversations[i], users[i], delivered[i], read[i] = r.Conversation, int64(r.User), r.Cursor.Delivered, r.Cursor.Read
	}
	advances := make([]room.Advance, n)
	b := db.newWrite()
	b.Queue(advanceCursors, conversations, users, delivered, read).Query(func(rows pgx.Rows) error {
		var i int64
		var a room.Advance
		_, err := pgx.ForEachRow(rows, []any{&i, &a.LastSeq, &a.Cursor.Delivered, &a.Cursor.Read, &a.Grown}, func() error {
			mark := receipts[i-1].Cursor
			advances[i-1] = a
			if !a.Grown && mark.Delivered <= a.LastSeq {
				advances[i-1].Cursor = a.Cursor.Advanced(mark)
			}
			return nil
		})
		return err
	})
	if err := db.send(ctx, b); err != nil {
		return nil, fmt.Errorf("store %d receipts: %w", n, err)
	}
	return advances, nil
}

const changedCursors = `
SELECT conversation_id, user_id, delivered_seq, read_seq FROM roomspa.cursors
WHERE changed_at >= now() - make_interval(secs => $1)`

// ChangedCursors returns the cursors that have changed since so long ago, by the database's clock.
func (db *DB) ChangedCursors(ctx context.Context, since time.Duration) ([]room.Receipt, error) {
	found, err := db.readCursors(ctx, changedCursors, since.Seconds())
	if err != nil {
		return nil, fmt.Errorf("read the changed cursors: %w", err)
	}
	return found, nil
}

const cursorsOf = `
SELECT k.conversation_id, k.user_id, k.delivered_seq, k.read_seq
FROM unnest($1::uuid[]) AS c (id)
CROSS JOIN LATERAL (SELECT * FROM roomspa.cursors WHERE conversation_id = c.id LIMIT 100) k`

// CursorsOf returns the cursors of conversations. Users who have received nothing have none.
func (db *DB) CursorsOf(ctx context.Context, conversations []room.ID) ([]room.Receipt, error) {
	found, err := db.readCursors(ctx, cursorsOf, conversations)
	if err != nil {
		return nil, fmt.Errorf("read the cursors of %d conversations: %w", len(conversations), err)
	}
	return found, nil
}

func (db *DB) readCursors(ctx context.Context, query string, arg any) (found []room.Receipt, err error) {
	err = db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, query, arg)
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r room.Receipt, err error) {
			err = row.Scan(&r.Conversation, &r.User, &r.Cursor.Delivered, &r.Cursor.Read)
			return r, err
		})
		return err
	})
	return found, err
}

// unread counts the messages after v.read_seq that v.user_id has not sent, but not the erased
// ones, in v.conversation_id. The count ends at room.MaxUnread.
const unread = `(
	SELECT count(*) FROM (
		SELECT FROM roomspa.messages u
		WHERE u.conversation_id = v.conversation_id AND u.seq > v.read_seq AND u.sender_id <> v.user_id AND u.erased_at IS NULL
		LIMIT 1000
	) counted
)`

const totalUnread = `
SELECT count(*) FROM (
	SELECT FROM (
		SELECT id FROM roomspa.conversations WHERE customer_id = $1
		UNION ALL
		SELECT id FROM roomspa.conversations WHERE therapist_id = $1
	) c
	CROSS JOIN LATERAL (
		SELECT coalesce((
			SELECT k.read_seq FROM roomspa.cursors k WHERE k.conversation_id = c.id AND k.user_id = $1
		), 0) AS read_seq
	) v
	CROSS JOIN LATERAL (
		SELECT FROM roomspa.messages u
		WHERE u.conversation_id = c.id AND u.seq > v.read_seq AND u.sender_id <> $1 AND u.erased_at IS NULL
		LIMIT 1000
	) m
	LIMIT 1000
) counted`

// Unread returns the number of messages in all conversations of a user that the user has not
// read, up to [room.MaxUnread]. Own and erased messages do not count.
func (db *DB) Unread(ctx context.Context, user room.UserID) (n int, err error) {
	err = db.requestRoundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, totalUnread, int64(user)).Scan(&n)
	})
	if err != nil {
		return 0, fmt.Errorf("count the unread messages of user %d: %w", user, err)
	}
	return n, nil
}
