-- +goose Up

-- What was said before there were cursors (version 9) counts as read: nobody knows better, and
-- a badge over years of messages would be wrong for nearly everybody. changed_at is in the past,
-- so that replicas do not take these cursors for changes that they have missed.
INSERT INTO roomspa.cursors (conversation_id, user_id, delivered_seq, read_seq, changed_at)
SELECT c.id, side.user_id, last.seq, last.seq, last.created_at
FROM roomspa.conversations c
CROSS JOIN LATERAL (
	SELECT m.seq, m.created_at FROM roomspa.messages m
	WHERE m.conversation_id = c.id AND m.created_at < (
		SELECT max(v.tstamp)::timestamptz FROM roomspa.goose_db_version v WHERE v.version_id = 9 AND v.is_applied
	)
	ORDER BY m.seq DESC LIMIT 1
) last
CROSS JOIN LATERAL (VALUES (c.customer_id), (c.therapist_id)) AS side (user_id)
ON CONFLICT (conversation_id, user_id) DO NOTHING;

-- +goose Down
SELECT 1; -- a read message stays read
