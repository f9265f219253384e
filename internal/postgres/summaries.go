package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

// summaries looks at each conversation of the user: when something was last said is
// kept nowhere but in the messages, so that sending one writes one row. A therapist's
// thousands take some milliseconds.
const summaries = `
SELECT c.id, c.customer_id, c.therapist_id, c.created_at, ` + messageColumns + `
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
LIMIT $4`

// Summaries returns the conversations of a user that stand behind a place, or from
// the beginning where it is nil, at most limit and 1,000; and whether there are more.
func (db *DB) Summaries(ctx context.Context, user room.UserID, behind *room.Place, limit int) (list []room.Summary, more bool, err error) {
	limit = min(max(limit, 1), mostPage)
	var at *time.Time
	var id *room.ID
	if behind != nil {
		at, id = &behind.At, &behind.ID
	}
	err = db.trip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, summaries, int64(user), at, id, limit+1)
		list, err = pgx.CollectRows(rows, scanSummary)
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("list conversations of user %d: %w", user, err)
	}
	if more = len(list) > limit; more {
		list = list[:limit]
	}
	return list, more, nil
}

// scanSummary reads a conversation, and a message that may not be there.
func scanSummary(row pgx.CollectableRow) (room.Summary, error) {
	var s room.Summary
	var m room.Message
	var conversation, id *room.ID
	var seq, sender *int64
	var role, text *string
	var at *time.Time
	err := row.Scan(&s.ID, &s.Room.Customer, &s.Room.Therapist, &s.CreatedAt,
		&conversation, &seq, &id, &sender, &role, &m.ClientMessageID, &text, &at)
	if err != nil {
		return s, err
	}
	s.CreatedAt = s.CreatedAt.UTC()
	if conversation != nil {
		m.Conversation, m.Seq, m.ID, m.Sender = *conversation, *seq, *id, room.UserID(*sender)
		m.SenderRole, m.Text, m.At = room.Role(*role), *text, at.UTC()
		s.Last = &m
	}
	return s, nil
}

const roomOfConversation = `SELECT customer_id, therapist_id FROM roomspa.conversations WHERE id = $1`

// RoomOf returns whose conversation it is, or [room.ErrNotFound].
func (db *DB) RoomOf(ctx context.Context, conversation room.ID) (r room.Room, err error) {
	err = db.trip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, roomOfConversation, conversation).Scan(&r.Customer, &r.Therapist)
	})
	if err != nil {
		return room.Room{}, fmt.Errorf("find the room of conversation %s: %w", conversation, err)
	}
	return r, nil
}
