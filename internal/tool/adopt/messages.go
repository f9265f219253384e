package adopt

import (
	"context"
	"fmt"
)

// lockBatch locks the conversations of a batch like every insert of messages does.
const lockBatch = `
SELECT FROM roomspa.conversations c
WHERE (c.customer_id, c.therapist_id) IN (
	SELECT q.customer_id, q.therapist_id FROM roomspa.adoption_queue q WHERE q.position > $1 AND q.position <= $2
)
ORDER BY c.id FOR UPDATE`

// copyBatch appends the messages of a batch to their conversations. What Django has deleted since
// the queue was filled leaves no hole, because numbers are given here. Times grow by at least a
// microsecond: each is the greatest of what it was and what its predecessors leave.
const copyBatch = `
WITH picked AS MATERIALIZED (
	SELECT q.position, q.number, c.id AS conversation_id, c.customer_id, c.therapist_id
	FROM roomspa.adoption_queue q
	JOIN roomspa.conversations c ON c.customer_id = q.customer_id AND c.therapist_id = q.therapist_id
	WHERE q.position > $1 AND q.position <= $2
), tail AS MATERIALIZED (
	SELECT p.conversation_id, coalesce(last.seq, 0) AS seq, last.created_at
	FROM (SELECT DISTINCT conversation_id FROM picked) p
	LEFT JOIN LATERAL (
		SELECT seq, created_at FROM roomspa.messages WHERE conversation_id = p.conversation_id ORDER BY seq DESC LIMIT 1
	) last ON true
), numbered AS (
	SELECT p.conversation_id, p.customer_id, p.therapist_id, p.position, t.seq AS last_seq, t.created_at AS last_at,
		d.number, d.sender_id, d.body, d.created_at, d.read_at, d.message_type, d.metadata,
		e.user_id IS NOT NULL AS erased, row_number() OVER (PARTITION BY p.conversation_id ORDER BY p.position) AS n
	FROM picked p
	JOIN tail t ON t.conversation_id = p.conversation_id
	JOIN {messages} d ON d.number = p.number
	LEFT JOIN roomspa.erasures e ON e.user_id = d.sender_id
)
INSERT INTO roomspa.messages
	(conversation_id, seq, id, number, sender_id, sender_role, body, created_at, read_at, message_type, metadata, erased_at)
SELECT d.conversation_id, d.last_seq + d.n, {id_of_d}, d.number, d.sender_id,
	CASE d.sender_id WHEN d.customer_id THEN 'customer' WHEN d.therapist_id THEN 'therapist' ELSE 'support' END,
	CASE WHEN d.erased THEN '' ELSE d.body END,
	greatest(max(d.created_at - d.n * interval '1 microsecond') OVER (PARTITION BY d.conversation_id ORDER BY d.n), d.last_at)
		+ d.n * interval '1 microsecond',
	d.read_at, CASE WHEN NOT d.erased THEN d.message_type END, CASE WHEN NOT d.erased THEN d.metadata END,
	CASE WHEN d.erased THEN now() END
FROM numbered d
ORDER BY d.position`

func (a *Adoption) copyMessages(ctx context.Context) (said string, err error) {
	total, _, err := a.queued(ctx)
	if err != nil {
		return "", err
	}
	var copied int64
	batch := int64(a.o.Batch)
	for from := int64(0); from < total; from += batch {
		rows, err := a.write(ctx, statement{lockBatch, []any{from, from + batch}}, statement{copyBatch, []any{from, from + batch}})
		if err != nil {
			return "", err
		}
		copied += rows
		a.progress("messages", min(from+batch, total), total)
	}
	if copied >= defaultBatch {
		_, err = a.write(ctx, statement{sql: `ANALYZE roomspa.messages, roomspa.conversations`})
	}
	return fmt.Sprintf("%d copied", copied), err
}
