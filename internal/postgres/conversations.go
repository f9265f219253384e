package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

// findConversations also counts what the user of each row has not read. Support has read nothing
// and gets 0: v.read_seq is null.
const findConversations = `
SELECT r.customer_id, r.therapist_id, r.user_id, c.id, coalesce(c.number, 0), coalesce((
	SELECT m.seq FROM roomspa.messages m WHERE m.conversation_id = c.id ORDER BY m.seq LIMIT 1
), 1) AS first_seq, coalesce((
	SELECT m.seq FROM roomspa.messages m WHERE m.conversation_id = c.id ORDER BY m.seq DESC LIMIT 1
), 0) AS last_seq,
	coalesce(k.delivered_seq, 0), coalesce(k.read_seq, 0), coalesce(t.delivered_seq, 0), coalesce(t.read_seq, 0), ` + unread + `
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS r (customer_id, therapist_id, user_id)
CROSS JOIN LATERAL (
	SELECT id, number FROM roomspa.conversations WHERE customer_id = r.customer_id AND therapist_id = r.therapist_id LIMIT 1
) c
LEFT JOIN LATERAL (
	SELECT delivered_seq, read_seq FROM roomspa.cursors WHERE conversation_id = c.id AND user_id = r.customer_id LIMIT 1
) k ON true
LEFT JOIN LATERAL (
	SELECT delivered_seq, read_seq FROM roomspa.cursors WHERE conversation_id = c.id AND user_id = r.therapist_id LIMIT 1
) t ON true
CROSS JOIN LATERAL (
	SELECT c.id AS conversation_id, r.user_id, CASE r.user_id
		WHEN r.customer_id THEN coalesce(k.read_seq, 0) WHEN r.therapist_id THEN coalesce(t.read_seq, 0)
	END AS read_seq
) v`

// createConversations skips conversations that another replica is creating. It is
// ordered so that two replicas cannot deadlock.
const createConversations = `
INSERT INTO roomspa.conversations (customer_id, therapist_id)
SELECT DISTINCT r.customer_id, r.therapist_id
FROM unnest($1::bigint[], $2::bigint[]) AS r (customer_id, therapist_id)
ORDER BY r.customer_id, r.therapist_id
ON CONFLICT DO NOTHING
RETURNING customer_id, therapist_id, id, number`

// A view is a room as one user sees it.
type view struct {
	room room.Room
	user room.UserID
}

// Conversation returns the conversation of a room with the cursors of both sides, and creates it
// if there is none. Unread is that of the user. Created is true for one caller. Concurrent calls
// are one query.
func (db *DB) Conversation(ctx context.Context, r room.Room, user room.UserID) (room.Conversation, error) {
	c, _, err := db.conversations.call(ctx, view{r, user})
	if err != nil {
		return room.Conversation{}, fmt.Errorf("get or create conversation: %w", err)
	}
	return c, nil
}

// serveConversations serves calls of Conversation.
func (db *DB) serveConversations(ctx context.Context, rs []*request[view, room.Conversation]) {
	views := make(map[view]bool, len(rs))
	for _, r := range rs {
		views[r.arg] = true
	}
	found, created, err := db.findOrCreate(ctx, views)
	if err != nil {
		failAll(rs, err)
		return
	}
	for _, r := range rs {
		r.result = found[r.arg]
		r.result.Created = created[r.arg.room]
		delete(created, r.arg.room) // for the callers after the first
	}
}

// findOrCreate reads conversations, creates the missing ones, and reads again those
// that another replica has created meanwhile.
func (db *DB) findOrCreate(ctx context.Context, views map[view]bool) (found map[view]room.Conversation, created map[room.Room]bool, err error) {
	found, created = make(map[view]room.Conversation, len(views)), map[room.Room]bool{}
	for _, step := range []func(context.Context, []view, map[view]room.Conversation) error{
		db.findConversations,
		func(ctx context.Context, missing []view, found map[view]room.Conversation) error {
			return db.createConversations(ctx, missing, found, created)
		},
		db.findConversations,
	} {
		missing := make([]view, 0, len(views))
		for v := range views {
			if _, ok := found[v]; !ok {
				missing = append(missing, v)
			}
		}
		if len(missing) == 0 {
			break
		}
		if err := step(ctx, missing, found); err != nil {
			return nil, nil, err
		}
	}
	return found, created, nil
}

func (db *DB) findConversations(ctx context.Context, views []view, found map[view]room.Conversation) error {
	return db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, findConversations, viewColumns(views)...)
		var v view
		var c room.Conversation
		_, err := pgx.ForEachRow(rows, []any{
			&v.room.Customer, &v.room.Therapist, &v.user, &c.ID, &c.Number, &c.FirstSeq, &c.LastSeq,
			&c.Customer.Delivered, &c.Customer.Read, &c.Therapist.Delivered, &c.Therapist.Read, &c.Unread,
		}, func() error {
			found[v] = c
			return nil
		})
		return err
	})
}

// createConversations adds the conversations that it has created to found and created.
func (db *DB) createConversations(ctx context.Context, views []view, found map[view]room.Conversation, created map[room.Room]bool) error {
	made := map[room.Room]room.Conversation{}
	b := db.newWrite()
	b.Queue(createConversations, viewColumns(views)[:2]...).Query(func(rows pgx.Rows) error {
		var r room.Room
		c := room.Conversation{FirstSeq: 1}
		_, err := pgx.ForEachRow(rows, []any{&r.Customer, &r.Therapist, &c.ID, &c.Number}, func() error {
			made[r] = c
			return nil
		})
		return err
	})
	if err := db.send(ctx, b); err != nil {
		return err
	}
	for _, v := range views {
		if c, ok := made[v.room]; ok {
			found[v], created[v.room] = c, true
		}
	}
	return nil
}

// viewColumns returns the arguments of findConversations.
func viewColumns(views []view) []any {
	customers, therapists, users := make([]int64, len(views)), make([]int64, len(views)), make([]int64, len(views))
	for i, v := range views {
		customers[i], therapists[i], users[i] = int64(v.room.Customer), int64(v.room.Therapist), int64(v.user)
	}
	return []any{customers, therapists, users}
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
