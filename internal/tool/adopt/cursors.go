package adopt

import (
	"context"
	"fmt"
)

// findMarks finds, for each sender, the first message that its receiver has not read.
const findMarks = `
SELECT m.conversation_id, m.sender_id, max(m.seq) AS last, min(m.seq) FILTER (WHERE m.read_at IS NULL AND m.erased_at IS NULL) AS unread
FROM roomspa.messages m GROUP BY m.conversation_id, m.sender_id`

// copyCursors lets each side's cursor go up to the last message before the first unread one that
// is addressed to that side. Messages of an admin are addressed to the customer. Cursors only
// grow.
const copyCursors = `
WITH marks AS (
	SELECT c.id AS conversation_id, c.customer_id, c.therapist_id, max(s.last) AS last,
		min(s.unread) FILTER (WHERE s.sender_id <> c.customer_id) AS customers, min(s.unread) FILTER (WHERE s.sender_id = c.customer_id) AS therapists
	FROM roomspa.adoption_marks s JOIN roomspa.conversations c ON c.id = s.conversation_id
	GROUP BY c.id, c.customer_id, c.therapist_id
)
INSERT INTO roomspa.cursors AS k (conversation_id, user_id, delivered_seq, read_seq, changed_at)
SELECT s.conversation_id, s.user_id, s.seq, s.seq, clock_timestamp()
FROM (
	SELECT conversation_id, customer_id AS user_id, coalesce(customers - 1, last) AS seq FROM marks
	UNION ALL
	SELECT conversation_id, therapist_id, coalesce(therapists - 1, last) FROM marks
) s
WHERE s.seq > coalesce((SELECT o.read_seq FROM roomspa.cursors o WHERE o.conversation_id = s.conversation_id AND o.user_id = s.user_id), 0)
ORDER BY s.conversation_id, s.user_id
ON CONFLICT (conversation_id, user_id) DO UPDATE
SET delivered_seq = greatest(k.delivered_seq, excluded.delivered_seq), read_seq = greatest(k.read_seq, excluded.read_seq),
	changed_at = greatest(k.changed_at, excluded.changed_at)`

func (a *Adoption) copyCursors(ctx context.Context) (said string, err error) {
	if err := a.makeTable(ctx, marksTable, findMarks, "conversation_id"); err != nil {
		return "", err
	}
	rows, err := a.write(ctx, statement{sql: copyCursors})
	return fmt.Sprintf("%d moved", rows), err
}

// copyTokens takes over refresh tokens that were signed out and have not expired, so that roomspa
// refuses them too. Django's refresh tokens are not replaced at a refresh, so each is a family.
const copyTokens = `
INSERT INTO roomspa.refresh_families AS f (family, user_id, current, issued_at, expires_at, revoked_at)
SELECT DISTINCT ON (b.jti) b.jti, b.user_id, b.jti, b.issued_at, b.expires_at, b.revoked_at
FROM {blacklist} b WHERE b.user_id IS NOT NULL AND b.expires_at > now() ORDER BY b.jti, b.revoked_at
ON CONFLICT (family) DO UPDATE SET revoked_at = excluded.revoked_at WHERE f.revoked_at IS NULL`

func (a *Adoption) copyTokens(ctx context.Context) (said string, err error) {
	if !a.src.hasBlacklist() {
		return "Django keeps no list of signed-out tokens", nil
	}
	rows, err := a.write(ctx, statement{sql: copyTokens})
	return fmt.Sprintf("%d signed out", rows), err
}
