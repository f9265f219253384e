package adopt

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// rangeEnd returns the end of the next range of message numbers, or NULL for the last one.
const rangeEnd = `SELECT (SELECT number FROM roomspa.messages WHERE number > $1 ORDER BY number OFFSET $2 LIMIT 1)`

// findChanges finds what Django has changed in messages that roomspa has: read marks, and whatever
// else somebody changed by hand. Messages that Django has deleted, with a user for instance, are
// those that were there once. What was erased in roomspa stays erased.
const findChanges = `
SELECT row_number() OVER (ORDER BY m.number) AS position, m.number, d.number IS NULL AS deleted
FROM roomspa.messages m LEFT JOIN {messages} d ON d.number = m.number
WHERE m.erased_at IS NULL AND CASE
	WHEN d.number IS NULL THEN m.number <= {through} OR {m_is_adopted}
	WHEN m.read_at IS DISTINCT FROM d.read_at THEN true
	WHEN m.body = d.body AND m.message_type IS NOT DISTINCT FROM d.message_type AND m.metadata::text IS NOT DISTINCT FROM d.metadata::text THEN false
	ELSE {m_is_adopted}
END`

// copyChanged takes the changes of a batch over.
const copyChanged = `
UPDATE roomspa.messages m SET read_at = d.read_at,
	body = CASE WHEN {m_is_adopted} THEN d.body ELSE m.body END,
	message_type = CASE WHEN {m_is_adopted} THEN d.message_type ELSE m.message_type END,
	metadata = CASE WHEN {m_is_adopted} THEN d.metadata ELSE m.metadata END
FROM roomspa.adoption_changes q JOIN {messages} d ON d.number = q.number
WHERE q.position > $1 AND q.position <= $2 AND NOT q.deleted AND m.number = q.number AND m.erased_at IS NULL`

// eraseDeleted empties the deleted messages of a batch. Their rows stay, so that no history gets a
// hole.
const eraseDeleted = `
UPDATE roomspa.messages m
SET body = '', message_type = NULL, metadata = NULL, client_message_id = NULL, read_at = NULL, erased_at = now()
FROM roomspa.adoption_changes q
WHERE q.position > $1 AND q.position <= $2 AND q.deleted AND m.number = q.number AND m.erased_at IS NULL`

// maxNumber is the end of the last range.
const maxNumber = int64(math.MaxInt64)

func (a *Adoption) copyChanges(ctx context.Context, returnedThrough int64) (said string, err error) {
	query := strings.ReplaceAll(findChanges, "{through}", strconv.FormatInt(returnedThrough, 10))
	if err := a.makeTable(ctx, changesTable, query, "position"); err != nil {
		return "", err
	}
	var total, changed, deleted int64
	if err := a.read(ctx, statement{sql: "SELECT count(*) FROM " + changesTable}, &total); err != nil {
		return "", err
	}
	batch := int64(a.o.Batch)
	for from := int64(0); from < total; from += batch {
		args := []any{from, from + batch}
		rows, err := a.write(ctx, statement{copyChanged, args})
		if err != nil {
			return "", err
		}
		changed += rows
		if rows, err = a.write(ctx, statement{eraseDeleted, args}); err != nil {
			return "", err
		}
		deleted += rows
		a.progress("changes", min(from+batch, total), total)
	}
	return fmt.Sprintf("%d messages changed, %d deleted in Django", changed, deleted), nil
}

// ranges calls f for ranges of the numbers of roomspa's messages behind from, in their order.
func (a *Adoption) ranges(ctx context.Context, step string, from, total int64, f func(from, to int64) error) error {
	for done := int64(0); from < maxNumber; {
		var next *int64
		if err := a.read(ctx, statement{rangeEnd, []any{from, int64(a.o.Batch)}}, &next); err != nil {
			return err
		}
		to := maxNumber
		if next != nil {
			to = *next
		}
		if err := f(from, to); err != nil {
			return err
		}
		from, done = to, done+int64(a.o.Batch)
		a.progress(step, min(done, total), total)
	}
	return nil
}
