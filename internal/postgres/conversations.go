package postgres

import (
	"context"
	"fmt"

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

// createConversations leaves out those that another replica creates at this
// moment; ordered, so that two of it cannot wait for each other.
const createConversations = `
INSERT INTO roomspa.conversations (customer_id, therapist_id)
SELECT r.customer_id, r.therapist_id
FROM unnest($1::bigint[], $2::bigint[]) AS r (customer_id, therapist_id)
ORDER BY r.customer_id, r.therapist_id
ON CONFLICT DO NOTHING
RETURNING customer_id, therapist_id, id, 0::bigint AS last_seq`

// Conversation returns the conversation of a room, and creates it if there is
// none; Created says so to one caller alone. Calls that come at once are one query.
func (db *DB) Conversation(ctx context.Context, r room.Room) (room.Conversation, error) {
	c, _, err := db.conversations.ask(ctx, r)
	if err != nil {
		return room.Conversation{}, fmt.Errorf("get or create conversation: %w", err)
	}
	return c, nil
}

func (db *DB) getOrCreate(ctx context.Context, rs []*request[room.Room, room.Conversation]) {
	found := make(map[room.Room]room.Conversation, len(rs))
	asked := make(map[room.Room]bool, len(rs))
	for _, r := range rs {
		asked[r.ask] = true
	}
	if err := db.findOrCreate(ctx, asked, found); err != nil {
		failAll(rs, err)
		return
	}
	for _, r := range rs {
		c := found[r.ask]
		r.answer = c
		c.Created = false // for whoever asked second
		found[r.ask] = c
	}
}

// findOrCreate reads, writes what is missing, and reads once more what another
// replica wrote meanwhile.
func (db *DB) findOrCreate(ctx context.Context, asked map[room.Room]bool, found map[room.Room]room.Conversation) error {
	for _, query := range []string{findConversations, createConversations, findConversations} {
		customers, therapists := make([]int64, 0, len(asked)), make([]int64, 0, len(asked))
		for r := range asked {
			if _, ok := found[r]; !ok {
				customers, therapists = append(customers, int64(r.Customer)), append(therapists, int64(r.Therapist))
			}
		}
		if len(customers) == 0 {
			return nil
		}
		b := &pgx.Batch{}
		if query == createConversations {
			b = db.writing()
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
		err := db.trip(ctx, func(ctx context.Context, conn *pgx.Conn) error { return send(ctx, conn, b) })
		if err != nil {
			return err
		}
	}
	return nil
}
