package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

const selectRepeated = `
SELECT seq FROM roomspa.messages WHERE conversation_id = $1 AND sender_id = $2 AND client_message_id = $3 LIMIT 1`

// Repeated returns the message of the sender that is stored under the ClientMessageID of d. Found
// is false if there is none.
func (db *DB) Repeated(ctx context.Context, conversation room.ID, d room.Draft) (m room.Message, found bool, err error) {
	var seq int64
	err = db.requestRoundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, selectRepeated, conversation, int64(d.Sender), d.ClientMessageID).Scan(&seq)
	})
	if errors.Is(err, room.ErrNotFound) {
		return room.Message{}, false, nil
	}
	if err != nil {
		return room.Message{}, false, fmt.Errorf("look for a repeated message in %s: %w", conversation, err)
	}
	page, _, err := db.After(ctx, conversation, seq-1, 1, maxBytes)
	if err != nil || len(page) == 0 || page[0].Seq != seq {
		return room.Message{}, false, err
	}
	return page[0], true, nil
}

const (
	// maxPage is the number of messages, or conversations, that one call returns.
	maxPage = 1000
	// maxRows and maxBytes bound what one coalesced query may return, so that the answer
	// fits in memory when all clients resume at once.
	maxRows, maxBytes = 10_000, 4 << 20
)

// newestSince reads a range of the ids: their first 48 bits are the time at which they
// were made, in milliseconds (RFC 9562 §5.7), by this server's clock.
const newestSince = `
SELECT m.conversation_id, max(m.seq)
FROM roomspa.messages m
WHERE m.id >= (lpad(to_hex((extract(epoch FROM now() - make_interval(secs => $1)) * 1000)::bigint), 12, '0')
	|| '00000000000000000000')::uuid
GROUP BY m.conversation_id`

// Tails returns the highest number of each conversation among the messages younger than
// since, by the database's clock.
func (db *DB) Tails(ctx context.Context, since time.Duration) (map[room.ID]int64, error) {
	tails := map[room.ID]int64{}
	err := db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, newestSince, since.Seconds())
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
