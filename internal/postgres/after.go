package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

// mostRows is how many messages one coalesced query may ask for, so that a resume
// of everybody does not become one answer that fills the memory.
const mostRows = 10_000

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

// After returns the messages above a number, oldest first, at most limit and
// 1,000. Calls that come at once are one query; those that ask for the same share
// the slice: do not write to it.
func (db *DB) After(ctx context.Context, conversation room.ID, seq int64, limit int) ([]room.Message, error) {
	msgs, _, err := db.after.ask(ctx, page{conversation, seq, min(max(limit, 1), mostPage)})
	if err != nil {
		return nil, fmt.Errorf("read messages of %s after %d: %w", conversation, seq, err)
	}
	return msgs, nil
}

func (db *DB) readAfter(ctx context.Context, rs []*request[page, []room.Message]) {
	waiting := map[page][]*request[page, []room.Message]{}
	var pages []page
	rows := 0
	read := func() {
		found, err := db.readPages(ctx, pages)
		for i, p := range pages {
			for _, r := range waiting[p] {
				r.err = err
				if err == nil {
					r.answer = found[i]
				}
			}
		}
		pages, rows = pages[:0], 0
	}
	for _, r := range rs {
		waiting[r.ask] = append(waiting[r.ask], r)
	}
	for p := range waiting {
		if rows += p.limit; rows > mostRows && len(pages) > 0 {
			read()
			rows = p.limit
		}
		pages = append(pages, p)
	}
	read()
}

// readPages returns the messages of each page, at the page's place.
func (db *DB) readPages(ctx context.Context, pages []page) ([][]room.Message, error) {
	conversations, seqs, limits := make([]room.ID, len(pages)), make([]int64, len(pages)), make([]int64, len(pages))
	for i, p := range pages {
		conversations[i], seqs[i], limits[i] = p.conversation, p.seq, int64(p.limit)
	}
	found := make([][]room.Message, len(pages))
	err := db.trip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
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
