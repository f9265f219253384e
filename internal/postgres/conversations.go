package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

const findConversations = `
SELECT r.customer_id, r.therapist_id, c.id, coalesce((
	SELECT m.seq FROM roomspa.messages m WHERE m.conversation_id = c.id ORDER BY m.seq DESC LIMIT 1
), 0) AS last_seq
FROM unnest($1::bigint[], $2::bigint[]) AS r (customer_id, therapist_id)
CROSS JOIN LATERAL (
	SELECT id FROM roomspa.conversations WHERE customer_id = r.customer_id AND therapist_id = r.therapist_id LIMIT 1
) c`

// createConversations skips conversations that another replica is creating. It is
// ordered so that two replicas cannot deadlock.
const createConversations = `
INSERT INTO roomspa.conversations (customer_id, therapist_id)
SELECT r.customer_id, r.therapist_id
FROM unnest($1::bigint[], $2::bigint[]) AS r (customer_id, therapist_id)
ORDER BY r.customer_id, r.therapist_id
ON CONFLICT DO NOTHING
RETURNING customer_id, therapist_id, id, 0::bigint AS last_seq`

// Conversation returns the conversation of a room, and creates it if there is none.
// Created is true for one caller. Concurrent calls are one query.
func (db *DB) Conversation(ctx context.Context, r room.Room) (room.Conversation, error) {
	c, _, err := db.conversations.call(ctx, r)
	if err != nil {
		return room.Conversation{}, fmt.Errorf("get or create conversation: %w", err)
	}
	return c, nil
}

// serveConversations serves calls of Conversation.
func (db *DB) serveConversations(ctx context.Context, rs []*request[room.Room, room.Conversation]) {
	found := make(map[room.Room]room.Conversation, len(rs))
	rooms := make(map[room.Room]bool, len(rs))
	for _, r := range rs {
		rooms[r.arg] = true
	}
	if err := db.findOrCreate(ctx, rooms, found); err != nil {
		failAll(rs, err)
		return
	}
	for _, r := range rs {
		c := found[r.arg]
		r.result = c
		c.Created = false // for the callers after the first
		found[r.arg] = c
	}
}

// findOrCreate reads conversations, creates the missing ones, and reads again those
// that another replica has created meanwhile.
func (db *DB) findOrCreate(ctx context.Context, rooms map[room.Room]bool, found map[room.Room]room.Conversation) error {
	for _, query := range []string{findConversations, createConversations, findConversations} {
		customers, therapists := make([]int64, 0, len(rooms)), make([]int64, 0, len(rooms))
		for r := range rooms {
			if _, ok := found[r]; !ok {
				customers, therapists = append(customers, int64(r.Customer)), append(therapists, int64(r.Therapist))
			}
		}
		if len(customers) == 0 {
			return nil
		}
		b := &pgx.Batch{}
		if query == createConversations {
			b = db.newWrite()
		}
		b.Queue(query, customers, therapists).Query(func(rows pgx.Rows) error {
			var r room.Room
			c := room.Conversation{Created: query == createConversations}
			_, err := pgx.ForEachRow(rows, []any{&r.Customer, &r.Therapist, &c.ID, &c.LastSeq}, func() error {
				found[r] = c
				return nil
			})
			return err
		})
		if err := db.send(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// summaries reads every conversation of the user. The time of the last message is
// stored nowhere else, so that a new message writes one row. Thousands of conversations
// take some milliseconds.
const summaries = `
SELECT m.conversation_id, m.customer_id, m.therapist_id, m.started_at,
	m.seq, m.id, m.sender_id, m.sender_role, m.client_message_id, CASE WHEN ` + fits + ` THEN m.body END, m.created_at, NOT (` + fits + `)
FROM (
	SELECT *, sum(size) OVER w AS total, row_number() OVER w AS n
	FROM (
		SELECT c.id AS conversation_id, c.customer_id, c.therapist_id, c.created_at AS started_at,
			m.seq, m.id, m.sender_id, m.sender_role, m.client_message_id, m.body, m.created_at,
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
	var role, clientMessageID, text *string
	var at *time.Time
	err = row.Scan(&s.ID, &s.Room.Customer, &s.Room.Therapist, &s.CreatedAt,
		&seq, &id, &sender, &role, &clientMessageID, &text, &at, &exceeds)
	if err != nil {
		return s, false, err
	}
	s.CreatedAt = s.CreatedAt.UTC()
	if text != nil {
		m.Conversation, m.Seq, m.ID, m.Sender = s.ID, *seq, *id, room.UserID(*sender)
		m.SenderRole, m.Text, m.At = room.Role(*role), *text, at.UTC()
		if clientMessageID != nil {
			m.ClientMessageID = *clientMessageID
		}
		s.Last = &m
	}
	return s, exceeds, nil
}

const roomOfConversation = `SELECT customer_id, therapist_id FROM roomspa.conversations WHERE id = $1`

// RoomOf returns the room of a conversation, or [room.ErrNotFound].
func (db *DB) RoomOf(ctx context.Context, conversation room.ID) (r room.Room, err error) {
	err = db.requestRoundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, roomOfConversation, conversation).Scan(&r.Customer, &r.Therapist)
	})
	if err != nil {
		return room.Room{}, fmt.Errorf("find the room of conversation %s: %w", conversation, err)
	}
	return r, nil
}
