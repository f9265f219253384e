package adopt

import (
	"context"
	"fmt"
)

// The statements of copyConversations. A room is one customer and one therapist who have a
// message or a conversation. Its number is that of the conversation that the predecessor would
// choose for them: the newest one that has both. Where several rooms share that conversation
// (it has more than two people), the first of them gets its number.
const (
	findRooms = `
WITH rooms AS (
	SELECT customer_id, therapist_id FROM roomspa.adoption_queue WHERE customer_id IS NOT NULL
	UNION
	SELECT x.customers[1], x.therapists[1] FROM {sides} x WHERE cardinality(x.customers) = 1 AND cardinality(x.therapists) = 1
	UNION
	SELECT customer_id, therapist_id FROM roomspa.conversations
), pairs AS (
	SELECT x.conversation_id, c AS customer_id, t AS therapist_id
	FROM {sides} x CROSS JOIN LATERAL unnest(x.customers) c CROSS JOIN LATERAL unnest(x.therapists) t
), chosen AS (
	SELECT DISTINCT ON (r.customer_id, r.therapist_id) r.customer_id, r.therapist_id, d.id, coalesce(d.created_at, d.updated_at) AS created_at
	FROM rooms r
	LEFT JOIN pairs p ON p.customer_id = r.customer_id AND p.therapist_id = r.therapist_id
	LEFT JOIN {conversations} d ON d.id = p.conversation_id
	ORDER BY r.customer_id, r.therapist_id, d.updated_at DESC NULLS LAST, d.id DESC NULLS LAST
)
SELECT customer_id, therapist_id, CASE WHEN row_number() OVER (PARTITION BY id ORDER BY customer_id, therapist_id) = 1 THEN id END AS number, created_at
FROM chosen`

	// freeNumbers takes numbers away from rooms that have another one in Django, or whose number is
	// that of a conversation of others there. The next statement gives new ones.
	freeNumbers = `
UPDATE roomspa.conversations c SET number = NULL
FROM roomspa.adoption_rooms r
WHERE r.customer_id = c.customer_id AND r.therapist_id = c.therapist_id AND c.number IS DISTINCT FROM r.number
	AND (r.number IS NOT NULL
		OR EXISTS (SELECT FROM {participants} p WHERE p.conversation_id = c.number AND p.user_id NOT IN (c.customer_id, c.therapist_id)))`

	giveNumbers = `
UPDATE roomspa.conversations c SET number = coalesce(r.number, nextval('roomspa.conversation_numbers'))
FROM roomspa.adoption_rooms r
WHERE r.customer_id = c.customer_id AND r.therapist_id = c.therapist_id AND c.number IS NULL`

	addConversations = `
INSERT INTO roomspa.conversations (customer_id, therapist_id, number, created_at)
SELECT r.customer_id, r.therapist_id, coalesce(r.number, nextval('roomspa.conversation_numbers')), coalesce(r.created_at, now())
FROM roomspa.adoption_rooms r
WHERE NOT EXISTS (SELECT FROM roomspa.conversations c WHERE c.customer_id = r.customer_id AND c.therapist_id = r.therapist_id)
ORDER BY r.customer_id, r.therapist_id
ON CONFLICT (customer_id, therapist_id) DO NOTHING`
)

func (a *Adoption) copyConversations(ctx context.Context) (said string, err error) {
	if err := a.makeTable(ctx, roomsTable, findRooms, "customer_id, therapist_id"); err != nil {
		return "", err
	}
	added, err := a.write(ctx, statement{sql: freeNumbers}, statement{sql: giveNumbers}, statement{sql: addConversations})
	if err != nil {
		return "", err
	}
	var all int64
	err = a.read(ctx, statement{sql: `SELECT count(*) FROM roomspa.adoption_rooms`}, &all)
	return fmt.Sprintf("%d added, %d in all", added, all), err
}
