package postgres

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

// mostPage is how many messages one read returns at most.
const mostPage = 1000

// messageColumns are what scanMessage reads.
const messageColumns = `m.conversation_id, m.seq, m.id, m.sender_id, m.sender_role,
	coalesce(m.client_message_id, '') AS client_message_id, m.body, m.created_at`

const messagesBefore = `
SELECT ` + messageColumns + `
FROM roomspa.messages m
WHERE m.conversation_id = $1 AND m.seq < $2
ORDER BY m.seq DESC LIMIT $3`

// Before returns the newest messages below a number, oldest first, at most limit
// and 1,000; and whether there are more below these. beforeSeq 0 begins at the
// conversation's end.
func (db *DB) Before(ctx context.Context, conversation room.ID, beforeSeq int64, limit int) (msgs []room.Message, more bool, err error) {
	if beforeSeq == 0 {
		beforeSeq = math.MaxInt64
	}
	limit = min(max(limit, 1), mostPage)
	err = db.trip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, messagesBefore, conversation, beforeSeq, limit+1)
		msgs, err = pgx.CollectRows(rows, scanMessage)
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("read messages of %s: %w", conversation, err)
	}
	if more = len(msgs) > limit; more {
		msgs = msgs[:limit]
	}
	slices.Reverse(msgs)
	return msgs, more, nil
}

func scanMessage(row pgx.CollectableRow) (room.Message, error) {
	var m room.Message
	err := row.Scan(&m.Conversation, &m.Seq, &m.ID, &m.Sender, &m.SenderRole, &m.ClientMessageID, &m.Text, &m.At)
	m.At = m.At.UTC()
	return m, err
}

// highestSince reads a range of the ids: their first 48 bits are the milliseconds
// of when they were made (RFC 9562 §5.7), by this server's clock.
const highestSince = `
SELECT m.conversation_id, max(m.seq)
FROM roomspa.messages m
WHERE m.id >= (lpad(to_hex((extract(epoch FROM now() - make_interval(secs => $1)) * 1000)::bigint), 12, '0')
	|| '00000000000000000000')::uuid
GROUP BY m.conversation_id`

// Tails returns the highest number of each conversation among the messages that
// are younger than since, by the database's clock.
func (db *DB) Tails(ctx context.Context, since time.Duration) (map[room.ID]int64, error) {
	tails := map[room.ID]int64{}
	err := db.trip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, highestSince, since.Seconds())
		var id room.ID
		var seq int64
		_, err := pgx.ForEachRow(rows, []any{&id, &seq}, func() error {
			tails[id] = seq
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the newest messages: %w", err)
	}
	return tails, nil
}
