package adopt

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// compareRooms compares both sides room by room: how many messages, and a checksum of who wrote
// what. Messages that were erased in roomspa count without their text,
// and those that only roomspa has, or has deleted because of their age, do not count.
const compareRooms = `
WITH ours AS (
	SELECT c.customer_id, c.therapist_id, count(*) AS messages, sum(hashtextextended(concat_ws(E'\x1f', m.number, {m_sender},
		CASE WHEN m.erased_at IS NULL THEN concat_ws(E'\x1f', m.body, {m_type}, {m_metadata}) END), 0)::numeric) AS checksum
	FROM roomspa.messages m JOIN roomspa.conversations c ON c.id = m.conversation_id
	WHERE (m.number <= $1 OR {m_is_adopted}) AND (m.erased_at IS NULL OR EXISTS (SELECT FROM {chat_message} d WHERE d.id = m.number))
	GROUP BY c.customer_id, c.therapist_id
), trimmed AS MATERIALIZED (
	SELECT c.customer_id, c.therapist_id, first.created_at
	FROM roomspa.conversations c
	CROSS JOIN LATERAL (
		SELECT seq, created_at FROM roomspa.messages WHERE conversation_id = c.id ORDER BY seq LIMIT 1
	) first
	WHERE first.seq > 1
), theirs AS (
	SELECT r.room[1] AS customer_id, r.room[2] AS therapist_id, count(*) AS messages, sum(hashtextextended(concat_ws(E'\x1f', d.number, d.sender_id,
		CASE WHEN e.number IS NULL THEN concat_ws(E'\x1f', d.body, coalesce(d.message_type, 'text'), d.metadata::jsonb::text) END), 0)::numeric) AS checksum
	FROM {rooms} r
	JOIN {messages} d ON d.number = r.number
	LEFT JOIN roomspa.messages e ON e.number = d.number AND e.erased_at IS NOT NULL
	LEFT JOIN trimmed t ON t.customer_id = r.room[1] AND t.therapist_id = r.room[2] AND d.created_at < t.created_at
	WHERE r.room IS NOT NULL AND t.customer_id IS NULL
	GROUP BY r.room[1], r.room[2]
), compared AS (
	SELECT coalesce(o.customer_id, t.customer_id) AS customer_id, coalesce(o.therapist_id, t.therapist_id) AS therapist_id,
		coalesce(o.messages, 0) AS ours, coalesce(t.messages, 0) AS theirs, o.checksum IS DISTINCT FROM t.checksum AS differ
	FROM ours o FULL JOIN theirs t ON t.customer_id = o.customer_id AND t.therapist_id = o.therapist_id
)
SELECT count(*), coalesce(sum(ours), 0)::bigint, coalesce(sum(theirs), 0)::bigint, count(*) FILTER (WHERE differ),
	coalesce((array_agg(format('room %s/%s: %s messages in roomspa, %s in Django%s', customer_id, therapist_id, ours, theirs,
		CASE WHEN ours = theirs THEN ', with other contents' ELSE '' END) ORDER BY customer_id, therapist_id) FILTER (WHERE differ))[1:20], '{}')
FROM compared`

// The other comparisons, by what a row means. Each returns a count and the first rows.
var comparisons = []oddity{
	{"messages that Django has as read and roomspa as unread", `
SELECT m.number AS x FROM roomspa.messages m JOIN {bare_messages} d ON d.number = m.number
WHERE d.is_read AND m.read_at IS NULL AND m.erased_at IS NULL AND NOT EXISTS (
	SELECT FROM roomspa.cursors k WHERE k.conversation_id = m.conversation_id AND k.user_id = d.receiver_id AND k.read_seq >= m.seq)`},
	{"read cursors behind an unread message of Django's although roomspa has stored nothing since", `
SELECT d.number AS x FROM roomspa.messages m JOIN {bare_messages} d ON d.number = m.number
JOIN roomspa.cursors k ON k.conversation_id = m.conversation_id AND k.user_id = d.receiver_id AND k.read_seq >= m.seq
WHERE NOT d.is_read AND m.erased_at IS NULL AND k.changed_at <= (SELECT applied_at FROM roomspa.adoption)`},
	{"rooms whose messages are not ordered by time", `
SELECT conversation_id AS x FROM (
	SELECT conversation_id, created_at <= lag(created_at) OVER (PARTITION BY conversation_id ORDER BY seq) AS wrong FROM roomspa.messages
) o WHERE wrong`},
	{"conversations of one customer and one therapist that have no room in roomspa, as customer/therapist", `
SELECT DISTINCT x.customers[1] || '/' || x.therapists[1] AS x FROM {sides} x
WHERE cardinality(x.customers) = 1 AND cardinality(x.therapists) = 1
	AND NOT EXISTS (SELECT FROM roomspa.conversations c WHERE c.customer_id = x.customers[1] AND c.therapist_id = x.therapists[1])`},
}

var tokenComparison = oddity{"signed-out refresh tokens that roomspa would accept", `
SELECT b.jti AS x FROM {blacklist} b WHERE b.user_id IS NOT NULL AND b.expires_at > now()
	AND NOT EXISTS (SELECT FROM roomspa.refresh_families f WHERE f.family = b.jti AND f.revoked_at IS NOT NULL)`}

// A Comparison is what --verify found.
type Comparison struct {
	Rooms       int64    `json:"rooms"`
	Ours        int64    `json:"messages_in_roomspa"`
	Theirs      int64    `json:"messages_in_django"`
	OnlyOurs    int64    `json:"only_in_roomspa"` // stored since: --return writes them
	Differences []string `json:"differences"`
}

// Verify compares what was adopted, and what was returned, with Django's tables.
func (a *Adoption) Verify(ctx context.Context) (c Comparison, err error) {
	if a.broken != nil {
		return c, a.broken
	}
	s, err := a.state(ctx)
	if err != nil {
		return c, err
	}
	if !s.adopted {
		return c, refuse("nothing was adopted yet: run roomspa adopt django --apply")
	}
	c.OnlyOurs = s.own
	var differ int64
	err = a.transaction(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, a.src.sql(compareRooms), s.returnedThrough).Scan(&c.Rooms, &c.Ours, &c.Theirs, &differ, &c.Differences)
	})
	if err != nil {
		return c, fmt.Errorf("compare: %w", a.explain(err))
	}
	if more := differ - int64(len(c.Differences)); more > 0 {
		c.Differences = append(c.Differences, fmt.Sprintf("and %d further rooms", more))
	}
	queries := comparisons
	if a.src.hasBlacklist() {
		queries = append(slices.Clip(queries), tokenComparison)
	}
	found, err := a.find(ctx, queries)
	if err != nil {
		return c, fmt.Errorf("compare: %w", a.explain(err))
	}
	for _, f := range found {
		c.Differences = append(c.Differences, fmt.Sprintf("%d %s: %s", f.Count, f.What, f.list()))
	}
	return c, nil
}
