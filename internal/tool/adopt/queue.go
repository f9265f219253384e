package adopt

import (
	"context"
	"fmt"
)

// fillQueue finds the messages that roomspa does not have, and puts them in the order of their
// rooms and times. Messages that roomspa retention has deleted are not copied again: those older
// than what it has left of a room. Like those that fit no room, they have no room in the queue.
const fillQueue = `
WITH trimmed AS MATERIALIZED (
	SELECT c.customer_id, c.therapist_id, first.created_at
	FROM roomspa.conversations c
	CROSS JOIN LATERAL (
		SELECT seq, created_at FROM roomspa.messages WHERE conversation_id = c.id ORDER BY seq LIMIT 1
	) first
	WHERE first.seq > 1
), fresh AS (
	SELECT d.number, d.created_at, CASE WHEN t.customer_id IS NULL THEN d.room END AS room
	FROM {rooms} d
	LEFT JOIN trimmed t ON t.customer_id = d.room[1] AND t.therapist_id = d.room[2] AND d.created_at < t.created_at
	WHERE NOT EXISTS (SELECT FROM roomspa.messages m WHERE m.number = d.number)
)
SELECT row_number() OVER (ORDER BY room[1], room[2], created_at, number) AS position, number, room[1] AS customer_id, room[2] AS therapist_id
FROM fresh`

const countQueue = `
SELECT count(*) FILTER (WHERE customer_id IS NOT NULL), count(*) FILTER (WHERE customer_id IS NULL) FROM roomspa.adoption_queue`

func (a *Adoption) fillQueue(ctx context.Context) (said string, err error) {
	if err := a.makeTable(ctx, queueTable, fillQueue, "position"); err != nil {
		return "", err
	}
	fresh, left, err := a.queued(ctx)
	said = fmt.Sprintf("%d to copy", fresh)
	if left > 0 {
		said += fmt.Sprintf("; %d stay in Django: they fit no room (--plan names some) or were deleted by roomspa retention", left)
	}
	return said, err
}

// The tables that a run works with. The next run makes them anew, so they are unlogged: a crash may
// empty them.
const (
	queueTable   = "roomspa.adoption_queue"   // the messages to copy, in the order of their rooms and times
	roomsTable   = "roomspa.adoption_rooms"   // the rooms that there must be
	changesTable = "roomspa.adoption_changes" // the messages that Django has changed or deleted
	marksTable   = "roomspa.adoption_marks"   // what is read of each sender
)

// makeTable makes one of these tables of a query. An INSERT would not run in parallel.
func (a *Adoption) makeTable(ctx context.Context, name, query, index string) error {
	_, err := a.write(ctx,
		statement{sql: "DROP TABLE IF EXISTS " + name}, statement{sql: "CREATE UNLOGGED TABLE " + name + " AS " + query},
		statement{sql: "CREATE INDEX ON " + name + " (" + index + ")"}, statement{sql: "ANALYZE " + name})
	return err
}

// dropTables drops these tables.
const dropTables = "DROP TABLE IF EXISTS " + queueTable + ", " + roomsTable + ", " + changesTable + ", " + marksTable

// queued returns the number of messages to copy, and of those that fit no room.
func (a *Adoption) queued(ctx context.Context) (fresh, left int64, err error) {
	err = a.read(ctx, statement{sql: countQueue}, &fresh, &left)
	return fresh, left, err
}
