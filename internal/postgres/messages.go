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

const (
	// maxPage is the number of messages, or conversations, that one call returns.
	maxPage = 1000
	// maxRows is the number of messages that one coalesced query may return, so that
	// the answer fits in memory when all clients resume at once.
	maxRows = 10_000
)

// messageColumns are the columns that scanMessage reads.
const messageColumns = `m.conversation_id, m.seq, m.id, m.sender_id, m.sender_role,
	coalesce(m.client_message_id, '') AS client_message_id, m.body, m.created_at`

func scanMessage(row pgx.CollectableRow) (room.Message, error) {
	var m room.Message
	err := row.Scan(&m.Conversation, &m.Seq, &m.ID, &m.Sender, &m.SenderRole, &m.ClientMessageID, &m.Text, &m.At)
	m.At = m.At.UTC()
	return m, err
}

const messagesBefore = `
SELECT ` + messageColumns + `
FROM roomspa.messages m
WHERE m.conversation_id = $1 AND m.seq < $2
ORDER BY m.seq DESC LIMIT $3`

// Before returns the newest messages with a number below beforeSeq, or the newest of
// all if that is 0, oldest first. It returns at most limit and 1,000, and whether there
// are more.
func (db *DB) Before(ctx context.Context, conversation room.ID, beforeSeq int64, limit int) (msgs []room.Message, more bool, err error) {
	if beforeSeq == 0 {
		beforeSeq = math.MaxInt64
	}
	limit = min(max(limit, 1), maxPage)
	err = db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
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

const messagesAfter = `
SELECT q.n, ` + messageColumns + `
FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS q (conversation_id, seq, most, n)
CROSS JOIN LATERAL (
	SELECT * FROM roomspa.messages
	WHERE conversation_id = q.conversation_id AND seq > q.seq
	ORDER BY seq LIMIT q.most
) m
ORDER BY q.n, m.seq`

type page struct {
	conversation room.ID
	seq          int64
	limit        int
}

// After returns the messages with a number above seq, oldest first, at most limit and
// 1,000. Concurrent calls are one query. Calls with the same arguments share the slice,
// so it must not be written to.
func (db *DB) After(ctx context.Context, conversation room.ID, seq int64, limit int) ([]room.Message, error) {
	msgs, _, err := db.pages.call(ctx, page{conversation, seq, min(max(limit, 1), maxPage)})
	if err != nil {
		return nil, fmt.Errorf("read messages of %s after %d: %w", conversation, seq, err)
	}
	return msgs, nil
}

// servePages serves calls of After, with as few queries as maxRows allows.
func (db *DB) servePages(ctx context.Context, rs []*request[page, []room.Message]) {
	waiting := map[page][]*request[page, []room.Message]{}
	var pages []page
	rows := 0
	read := func() {
		found, err := db.readPages(ctx, pages)
		for i, p := range pages {
			for _, r := range waiting[p] {
				r.err = err
				if err == nil {
					r.result = found[i]
				}
			}
		}
		pages, rows = pages[:0], 0
	}
	for _, r := range rs {
		waiting[r.arg] = append(waiting[r.arg], r)
	}
	for p := range waiting {
		if rows += p.limit; rows > maxRows && len(pages) > 0 {
			read()
			rows = p.limit
		}
		pages = append(pages, p)
	}
	read()
}

// readPages returns the messages of each page, in the order of pages.
func (db *DB) readPages(ctx context.Context, pages []page) ([][]room.Message, error) {
	conversations, seqs, limits := make([]room.ID, len(pages)), make([]int64, len(pages)), make([]int64, len(pages))
	for i, p := range pages {
		conversations[i], seqs[i], limits[i] = p.conversation, p.seq, int64(p.limit)
	}
	found := make([][]room.Message, len(pages))
	err := db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, messagesAfter, conversations, seqs, limits)
		defer rows.Close()
		for rows.Next() {
			var n int64
			var m room.Message
			err := rows.Scan(&n, &m.Conversation, &m.Seq, &m.ID, &m.Sender, &m.SenderRole, &m.ClientMessageID, &m.Text, &m.At)
			if err != nil {
				return err
			}
			m.At = m.At.UTC()
			found[n-1] = append(found[n-1], m)
		}
		return rows.Err()
	})
	return found, err
}

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
