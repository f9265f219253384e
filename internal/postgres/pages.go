package postgres

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

// messageSize is the size of a message in a page: its text and metadata, and what a frame has
// around them. Postgres knows the length of a text without reading the text itself.
const messageSize = `octet_length(body) + coalesce(octet_length(client_message_id), 0) + coalesce(octet_length(metadata::text), 0) + 320`

// pageColumns are the columns of a message in a page of q.bytes. The first message that does
// not fit comes without its text.
const pageColumns = `m.conversation_id, m.seq, m.id, m.sender_id, m.sender_role, coalesce(m.client_message_id, ''),
	CASE WHEN ` + fits + ` THEN m.body END, m.created_at, coalesce(m.message_type, ''), coalesce(m.metadata::text, ''), coalesce(m.number, 0)`

// fits is the condition for the messages that fit into q.bytes. fitsOrNext includes the first
// one that does not.
const (
	fits       = `m.n = 1 OR m.total <= q.bytes`
	fitsOrNext = `m.n <= 2 OR m.total - m.size <= q.bytes`
)

// messagesBefore reads steps of 16 messages until a page is full. So it reads about as many
// rows as it returns, and not the texts of the others.
const messagesBefore = `
WITH RECURSIVE q AS (SELECT $3::bigint AS most, $4::bigint AS bytes), m AS (
	SELECT * FROM (
		SELECT *, ` + messageSize + ` AS size, sum(` + messageSize + `) OVER w AS total, row_number() OVER w AS n
		FROM (
			SELECT * FROM roomspa.messages WHERE conversation_id = $1 AND seq < $2
			ORDER BY seq DESC LIMIT least(16, $3::bigint)
		) found
		WINDOW w AS (ROWS UNBOUNDED PRECEDING)
	) step
UNION ALL
	SELECT step.* FROM m CROSS JOIN LATERAL (
		SELECT *, ` + messageSize + `, m.total + sum(` + messageSize + `) OVER w, m.n + row_number() OVER w
		FROM (
			SELECT * FROM roomspa.messages WHERE conversation_id = m.conversation_id AND seq < m.seq
			ORDER BY seq DESC LIMIT least(16, $3::bigint - m.n)
		) found
		WINDOW w AS (ROWS UNBOUNDED PRECEDING)
	) step
	WHERE m.n % 16 = 0 AND m.n < $3::bigint AND m.total <= $4::bigint
)
SELECT 1, ` + pageColumns + ` FROM m CROSS JOIN q WHERE ` + fitsOrNext + ` ORDER BY m.seq DESC`

// Before returns the newest messages with a number below beforeSeq, or the newest of
// all if that is 0, oldest first, and whether there are more. It returns at most limit,
// 1,000, and size bytes, but at least one message if there is one.
func (db *DB) Before(ctx context.Context, conversation room.ID, beforeSeq int64, limit, size int) ([]room.Message, bool, error) {
	if beforeSeq == 0 {
		beforeSeq = math.MaxInt64
	}
	limit = min(max(limit, 1), maxPage)
	found := make([]pageResult, 1)
	err := db.requestRoundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, messagesBefore, conversation, beforeSeq, limit+1, size)
		return collectPages(rows, found)
	})
	if err != nil {
		return nil, false, fmt.Errorf("read messages of %s: %w", conversation, err)
	}
	p := found[0]
	if len(p.messages) > limit {
		p.messages, p.more = p.messages[:limit], true
	}
	slices.Reverse(p.messages)
	return p.messages, p.more, nil
}

// messagesAfter reads up to most messages of each page, but not the texts of those that do
// not fit.
const messagesAfter = `
SELECT q.i, ` + pageColumns + `
FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[]) WITH ORDINALITY AS q (conversation_id, seq, most, bytes, i)
CROSS JOIN LATERAL (
	SELECT *, ` + messageSize + ` AS size, sum(` + messageSize + `) OVER w AS total, row_number() OVER w AS n
	FROM (
		SELECT * FROM roomspa.messages
		WHERE conversation_id = q.conversation_id AND seq > q.seq
		ORDER BY seq LIMIT q.most
	) found
	WINDOW w AS (ROWS UNBOUNDED PRECEDING)
) m
WHERE ` + fitsOrNext + `
ORDER BY q.i, m.seq`

type page struct {
	conversation room.ID
	seq          int64
	limit, size  int
}

// A pageResult is what was found of a page.
type pageResult struct {
	messages []room.Message
	more     bool
}

// After returns the messages with a number above seq, oldest first, and whether there may
// be more. It returns at most limit, 1,000, and size bytes, but at least one message if there
// is one. It reads limit rows, so a caller that knows that fewer fit asks for fewer.
//
// Concurrent calls are one query. Calls with the same arguments share the slice, so it must
// not be written to.
func (db *DB) After(ctx context.Context, conversation room.ID, seq int64, limit, size int) ([]room.Message, bool, error) {
	r, _, err := db.pages.call(ctx, page{conversation, seq, min(max(limit, 1), maxPage), size})
	if err != nil {
		return nil, false, fmt.Errorf("read messages of %s after %d: %w", conversation, seq, err)
	}
	return r.messages, r.more, nil
}

// servePages serves calls of After, with as few queries as maxRows and maxBytes allow.
func (db *DB) servePages(ctx context.Context, rs []*request[page, pageResult]) {
	waiting := map[page][]*request[page, pageResult]{}
	var pages []page
	rows, bytes := 0, 0
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
		pages, rows, bytes = pages[:0], 0, 0
	}
	for _, r := range rs {
		waiting[r.arg] = append(waiting[r.arg], r)
	}
	for p := range waiting {
		if len(pages) > 0 && (rows+p.limit > maxRows || bytes+p.size > maxBytes) {
			read()
		}
		rows, bytes = rows+p.limit, bytes+p.size
		pages = append(pages, p)
	}
	read()
}

// readPages returns the messages of each page, in the order of pages.
func (db *DB) readPages(ctx context.Context, pages []page) ([]pageResult, error) {
	n := len(pages)
	conversations, seqs, limits, sizes := make([]room.ID, n), make([]int64, n), make([]int64, n), make([]int64, n)
	for i, p := range pages {
		conversations[i], seqs[i], limits[i], sizes[i] = p.conversation, p.seq, int64(p.limit), int64(p.size)
	}
	found := make([]pageResult, n)
	err := db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, messagesAfter, conversations, seqs, limits, sizes)
		return collectPages(rows, found)
	})
	for i, p := range pages {
		found[i].more = found[i].more || len(found[i].messages) == p.limit
	}
	return found, err
}

// collectPages adds rows to their pages. The first column is the number of the page, from 1.
func collectPages(rows pgx.Rows, found []pageResult) error {
	var n int64
	var m room.Message
	var text *string
	columns := []any{&n, &m.Conversation, &m.Seq, &m.ID, &m.Sender, &m.SenderRole, &m.ClientMessageID, &text, &m.At, &m.Type, &m.Metadata, &m.Number}
	_, err := pgx.ForEachRow(rows, columns, func() error {
		p := &found[n-1]
		if text == nil { // the first message that does not fit
			p.more = true
			return nil
		}
		m.Text, m.At = *text, m.At.UTC()
		p.messages = append(p.messages, m)
		return nil
	})
	return err
}
