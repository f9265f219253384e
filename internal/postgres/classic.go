package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

const conversationByNumber = `SELECT id FROM roomspa.conversations WHERE number = $1`

// ConversationByNumber returns the conversation with a number, or [room.ErrNotFound].
func (db *DB) ConversationByNumber(ctx context.Context, number int64) (id room.ID, err error) {
	err = db.requestRoundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, conversationByNumber, number).Scan(&id)
	})
	if err != nil {
		return room.ID{}, fmt.Errorf("find conversation number %d: %w", number, err)
	}
	return id, nil
}

// conversationDetails counts a message as read if the predecessor marked it, or if the cursor of
// its receiver has reached it.
const conversationDetails = `
SELECT c.id, coalesce(c.number, 0), c.customer_id, c.therapist_id, coalesce((
	SELECT m.seq FROM roomspa.messages m WHERE m.conversation_id = c.id ORDER BY m.seq LIMIT 1
), 1) AS first_seq, coalesce(l.seq, 0) AS last_seq, l.read_at,
	coalesce(k.read_seq, 0), k.changed_at, coalesce(t.read_seq, 0), t.changed_at, (
	SELECT count(*) FROM (
		SELECT FROM roomspa.messages u
		WHERE u.conversation_id = c.id AND u.seq > v.read_seq AND u.sender_id <> $1
			AND (c.customer_id = $1 OR u.sender_id = c.customer_id) AND u.read_at IS NULL AND u.erased_at IS NULL
		LIMIT 1000
	) counted
)
FROM unnest($2::uuid[]) AS q (id)
CROSS JOIN LATERAL (
	SELECT id, number, customer_id, therapist_id FROM roomspa.conversations WHERE id = q.id LIMIT 1
) c
LEFT JOIN LATERAL (
	SELECT seq, read_at FROM roomspa.messages WHERE conversation_id = c.id ORDER BY seq DESC LIMIT 1
) l ON true
LEFT JOIN LATERAL (
	SELECT read_seq, changed_at FROM roomspa.cursors WHERE conversation_id = c.id AND user_id = c.customer_id LIMIT 1
) k ON true
LEFT JOIN LATERAL (
	SELECT read_seq, changed_at FROM roomspa.cursors WHERE conversation_id = c.id AND user_id = c.therapist_id LIMIT 1
) t ON true
CROSS JOIN LATERAL (
	SELECT coalesce(CASE $1::bigint WHEN c.customer_id THEN k.read_seq WHEN c.therapist_id THEN t.read_seq END, 0) AS read_seq
) v`

// ConversationDetails returns the details of the conversations that exist among ids. Unread is
// that of the user.
func (db *DB) ConversationDetails(ctx context.Context, user room.UserID, ids []room.ID) (map[room.ID]*room.Details, error) {
	found := make(map[room.ID]*room.Details, len(ids))
	err := db.requestRoundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, conversationDetails, int64(user), ids)
		var d room.Details
		var lastReadAt, customerAt, therapistAt *time.Time
		_, err := pgx.ForEachRow(rows, []any{
			&d.ID, &d.Number, &d.Room.Customer, &d.Room.Therapist, &d.FirstSeq, &d.LastSeq, &lastReadAt,
			&d.Customer.Seq, &customerAt, &d.Therapist.Seq, &therapistAt, &d.Unread,
		}, func() error {
			one := d
			one.LastReadAt, one.Customer.At, one.Therapist.At = orZero(lastReadAt), orZero(customerAt), orZero(therapistAt)
			found[d.ID] = &one
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the details of %d conversations: %w", len(ids), err)
	}
	return found, nil
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// people reads the name through JSON, because a view over another application's table may have
// no such column.
const people = `SELECT u.id::bigint, coalesce(to_jsonb(u) ->> 'name', ''), coalesce(u.email, '')::text FROM roomspa.users u WHERE u.id = ANY($1)`

// People returns the users that exist among ids.
func (db *DB) People(ctx context.Context, ids []room.UserID) (map[room.UserID]room.Person, error) {
	found := make(map[room.UserID]room.Person, len(ids))
	err := db.requestRoundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, people, ids)
		var p room.Person
		_, err := pgx.ForEachRow(rows, []any{&p.ID, &p.Name, &p.Email}, func() error {
			found[p.ID] = p
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the names of %d users: %w", len(ids), err)
	}
	return found, nil
}

const readTimes = `
SELECT seq, read_at FROM roomspa.messages
WHERE conversation_id = $1 AND seq BETWEEN $2 AND $3 AND read_at IS NOT NULL`

// ReadTimes returns the times at which the predecessor marked messages as read, by seq.
func (db *DB) ReadTimes(ctx context.Context, conversation room.ID, first, last int64) (map[int64]time.Time, error) {
	found := map[int64]time.Time{}
	err := db.requestRoundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, readTimes, conversation, first, last)
		var seq int64
		var at time.Time
		_, err := pgx.ForEachRow(rows, []any{&seq, &at}, func() error {
			found[seq] = at.UTC()
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the marks of conversation %s: %w", conversation, err)
	}
	return found, nil
}
