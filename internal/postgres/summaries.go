package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

// summaries reads every conversation of the user. The time of the last message is
// stored nowhere else, so that a new message writes one row. Thousands of conversations
// take some milliseconds.
const summaries = `
SELECT m.conversation_id, m.customer_id, m.therapist_id, m.started_at,
	m.seq, m.id, m.sender_id, m.sender_role, coalesce(m.client_message_id, ''), CASE WHEN ` + fits + ` THEN m.body END, m.created_at,
	coalesce(m.message_type, ''), coalesce(m.metadata::text, ''), coalesce(m.number, 0), v.delivered_seq, v.read_seq, ` + unread + `, NOT (` + fits + `)
FROM (
	SELECT *, sum(size) OVER w AS total, row_number() OVER w AS n
	FROM (
		SELECT c.id AS conversation_id, c.customer_id, c.therapist_id, c.created_at AS started_at,
			m.seq, m.id, m.sender_id, m.sender_role, m.client_message_id, m.body, m.created_at, m.message_type, m.metadata, m.number,
			coalesce(` + messageSize + `, 320) AS size
		FROM (
			SELECT * FROM roomspa.conversations WHERE customer_id = $1
			UNION ALL
			SELECT * FROM roomspa.conversations WHERE therapist_id = $1
		) c
		LEFT JOIN LATERAL (
			SELECT * FROM roomspa.messages WHERE conversation_id = c.id ORDER BY seq DESC LIMIT 1
		) m ON true
		WHERE $2::timestamptz IS NULL OR (coalesce(m.created_at, c.created_at), c.id) < ($2, $3::uuid)
		ORDER BY coalesce(m.created_at, c.created_at) DESC, c.id DESC
		LIMIT $4
	) found
	WINDOW w AS (ROWS UNBOUNDED PRECEDING)
) m
CROSS JOIN (SELECT $5::bigint AS bytes) q
LEFT JOIN LATERAL (
	SELECT delivered_seq, read_seq FROM roomspa.cursors WHERE conversation_id = m.conversation_id AND user_id = $1 LIMIT 1
) k ON true
CROSS JOIN LATERAL (
	SELECT m.conversation_id, $1 AS user_id, coalesce(k.delivered_seq, 0) AS delivered_seq, coalesce(k.read_seq, 0) AS read_seq
) v
WHERE ` + fitsOrNext + `
ORDER BY m.n`

// Summaries returns the conversations of a user, newest first, that come behind a place
// in that order, or from the start if behind is nil, and whether there are more. It returns
// at most limit, 1,000, and size bytes, but at least one if there is one.
func (db *DB) Summaries(ctx context.Context, user room.UserID, behind *room.Place, limit, size int) (list []room.Summary, more bool, err error) {
	limit = min(max(limit, 1), maxPage)
	var at *time.Time
	var id *room.ID
	if behind != nil {
		at, id = &behind.At, &behind.ID
	}
	err = db.requestRoundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, summaries, int64(user), at, id, limit+1, size)
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (s room.Summary, err error) {
			s, more, err = scanSummary(row)
			return s, err
		})
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("list conversations of user %d: %w", user, err)
	}
	if more = more || len(list) > limit; more {
		list = list[:len(list)-1]
	}
	return list, more, nil
}

// scanSummary reads a conversation and its last message, whose columns may be null, and
// whether it exceeds the size of the page.
func scanSummary(row pgx.CollectableRow) (s room.Summary, exceeds bool, err error) {
	var m room.Message
	var id *room.ID
	var seq, sender *int64
	var role, text *string
	var at *time.Time
	err = row.Scan(&s.ID, &s.Room.Customer, &s.Room.Therapist, &s.CreatedAt,
		&seq, &id, &sender, &role, &m.ClientMessageID, &text, &at, &m.Type, &m.Metadata, &m.Number,
		&s.Cursor.Delivered, &s.Cursor.Read, &s.Unread, &exceeds)
	if err != nil {
		return s, false, err
	}
	s.CreatedAt = s.CreatedAt.UTC()
	if text != nil {
		m.Conversation, m.Seq, m.ID, m.Sender = s.ID, *seq, *id, room.UserID(*sender)
		m.SenderRole, m.Text, m.At = room.Role(*role), *text, at.UTC()
		s.Last = &m
	}
	return s, exceeds, nil
}

const summariesOf = `
SELECT c.id, c.customer_id, c.therapist_id, c.created_at,
	m.seq, m.id, m.sender_id, m.sender_role, coalesce(m.client_message_id, ''), m.body, m.created_at,
	coalesce(m.message_type, ''), coalesce(m.metadata::text, ''), coalesce(m.number, 0), v.delivered_seq, v.read_seq, ` + unread + `, false
FROM unnest($2::uuid[]) AS q (id)
CROSS JOIN LATERAL (
	SELECT * FROM roomspa.conversations WHERE id = q.id AND (customer_id = $1 OR therapist_id = $1) LIMIT 1
) c
LEFT JOIN LATERAL (
	SELECT * FROM roomspa.messages WHERE conversation_id = c.id ORDER BY seq DESC LIMIT 1
) m ON true
LEFT JOIN LATERAL (
	SELECT delivered_seq, read_seq FROM roomspa.cursors WHERE conversation_id = c.id AND user_id = $1 LIMIT 1
) k ON true
CROSS JOIN LATERAL (
	SELECT c.id AS conversation_id, $1 AS user_id, coalesce(k.delivered_seq, 0) AS delivered_seq, coalesce(k.read_seq, 0) AS read_seq
) v`

// SummariesOf returns those of the conversations that exist and are the user's.
func (db *DB) SummariesOf(ctx context.Context, user room.UserID, ids []room.ID) (list []room.Summary, err error) {
	err = db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, summariesOf, int64(user), ids)
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (room.Summary, error) {
			s, _, err := scanSummary(row)
			return s, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read %d conversations of user %d: %w", len(ids), user, err)
	}
	return list, nil
}
