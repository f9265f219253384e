package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

// changedConversations reads a range of the ids of messages, as newestSince does, and a range
// of the cursors' times.
const changedConversations = `
WITH changed AS MATERIALIZED (
	SELECT m.conversation_id FROM roomspa.messages m
	WHERE m.id >= (lpad(to_hex((extract(epoch FROM now() - make_interval(secs => $1)) * 1000)::bigint), 12, '0')
		|| '00000000000000000000')::uuid
	UNION
	SELECT r.conversation_id FROM roomspa.cursors r WHERE r.changed_at >= now() - make_interval(secs => $1)
)
SELECT c.id, c.customer_id, c.therapist_id, coalesce((
		SELECT m.seq FROM roomspa.messages m WHERE m.conversation_id = c.id ORDER BY m.seq DESC LIMIT 1
	), 0),
	coalesce((SELECT r.read_seq FROM roomspa.cursors r WHERE r.conversation_id = c.id AND r.user_id = c.customer_id), 0),
	coalesce((SELECT r.read_seq FROM roomspa.cursors r WHERE r.conversation_id = c.id AND r.user_id = c.therapist_id), 0)
FROM changed CROSS JOIN LATERAL (
	SELECT * FROM roomspa.conversations WHERE id = changed.conversation_id LIMIT 1
) c`

const erasedSince = `SELECT user_id FROM roomspa.erasures WHERE finished_at >= now() - make_interval(secs => $1)`

// Changes returns the conversations with a message or a cursor that is younger than since, and
// the users whose erasure ended since then, by the database's clock.
func (db *DB) Changes(ctx context.Context, since time.Duration) (changed []room.Change, erased []room.UserID, err error) {
	err = db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		b := &pgx.Batch{}
		b.Queue(changedConversations, since.Seconds()).Query(func(rows pgx.Rows) (err error) {
			changed, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c room.Change, err error) {
				return c, row.Scan(&c.ID, &c.Room.Customer, &c.Room.Therapist, &c.LastSeq, &c.CustomerRead, &c.TherapistRead)
			})
			return err
		})
		b.Queue(erasedSince, since.Seconds()).Query(func(rows pgx.Rows) (err error) {
			erased, err = pgx.CollectRows(rows, pgx.RowTo[room.UserID])
			return err
		})
		return sendOn(ctx, conn, b)
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read the changes of conversations: %w", err)
	}
	return changed, erased, nil
}
