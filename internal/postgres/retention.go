package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/roomspa/roomspa/internal/room"
)

// MinRetention is the shortest time for which messages are kept. A client that repeats a message
// within it gets the first one, whose row must exist for that.
const MinRetention = 24 * time.Hour

const (
	// retainedRooms is the number of conversations that one query looks at.
	retainedRooms = 500
	// retainedBatch is the number of messages that one transaction deletes.
	retainedBatch = 2000
)

const retentionCutoff = `SELECT now() - make_interval(secs => $1)`

// conversationsToTrim reads the conversations behind an id. Old is whether the oldest message is
// older than the cutoff and not yet emptied, or not the last one; reported is whether somebody
// has still to look at it.
const conversationsToTrim = `
SELECT c.id, coalesce(first.created_at < $2 AND (first.seq < last.seq OR first.erased_at IS NULL), false) AS old,
	c.id IN (SELECT r.conversation_id FROM roomspa.reports r WHERE r.closed_at IS NULL ORDER BY r.created_at) AS reported
FROM (SELECT id FROM roomspa.conversations WHERE id > $1 ORDER BY id LIMIT $3) c
LEFT JOIN LATERAL (
	SELECT seq, created_at, erased_at FROM roomspa.messages WHERE conversation_id = c.id ORDER BY seq LIMIT 1
) first ON true
LEFT JOIN LATERAL (
	SELECT seq FROM roomspa.messages WHERE conversation_id = c.id ORDER BY seq DESC LIMIT 1
) last ON true
ORDER BY c.id`

// trimConversation deletes the messages of a conversation that are older than the cutoff, up to
// the first one that is not, and never the last one. So what is left has no hole. It looks at a
// batch of messages, and reports whether all of them were old.
const trimConversation = `
WITH oldest AS MATERIALIZED (
	SELECT seq, created_at FROM roomspa.messages WHERE conversation_id = $1 ORDER BY seq LIMIT $3
), bound AS MATERIALIZED (
	SELECT least(
		coalesce(min(seq) FILTER (WHERE created_at >= $2), max(seq) + 1),
		(SELECT seq FROM roomspa.messages WHERE conversation_id = $1 ORDER BY seq DESC LIMIT 1)
	) AS seq, count(*) = $3 AND bool_and(created_at < $2) AS more
	FROM oldest
), deleted AS (
	DELETE FROM roomspa.messages WHERE conversation_id = $1 AND seq < (SELECT seq FROM bound)
	RETURNING true
)
SELECT (SELECT count(*) FROM deleted), coalesce(more, false) FROM bound`

// emptyLast empties the last message of a conversation if it is older than the cutoff. Its row
// keeps the number, from which the next message takes its own.
const emptyLast = `
UPDATE roomspa.messages SET body = '', client_message_id = NULL, message_type = NULL, metadata = NULL, erased_at = now()
WHERE conversation_id = $1 AND seq = (
	SELECT seq FROM roomspa.messages WHERE conversation_id = $1 ORDER BY seq DESC LIMIT 1
) AND created_at < $2 AND erased_at IS NULL`

// markDeletedRead raises the cursors of both sides over what is deleted or emptied. So unread
// counts fall, also in sockets that are open: their replicas look for changed cursors.
const markDeletedRead = `
INSERT INTO roomspa.cursors AS c (conversation_id, user_id, delivered_seq, read_seq, changed_at)
SELECT r.id, side.user_id, gone.seq, gone.seq, clock_timestamp()
FROM roomspa.conversations r CROSS JOIN LATERAL (
	SELECT CASE WHEN m.erased_at IS NULL THEN m.seq - 1 ELSE m.seq END AS seq
	FROM roomspa.messages m WHERE m.conversation_id = r.id ORDER BY m.seq LIMIT 1
) gone CROSS JOIN LATERAL unnest(ARRAY[r.customer_id, r.therapist_id]) AS side (user_id)
WHERE r.id = $1
ORDER BY side.user_id
ON CONFLICT (conversation_id, user_id) DO UPDATE
SET delivered_seq = greatest(c.delivered_seq, excluded.delivered_seq), read_seq = excluded.read_seq, changed_at = excluded.changed_at
WHERE c.read_seq < excluded.read_seq`

// Retained is what a retention has done.
type Retained struct {
	Before        time.Time // messages before it are old
	Conversations int64     // that it has looked at
	Deleted       int64     // messages
	Emptied       int64     // last messages of conversations
	Reported      int64     // conversations that it left as they are because of an open report
}

// DeleteMessages deletes the messages that are older than age, by the database's clock, except
// the last one of each conversation, which it empties. Conversations with open reports stay as
// they are. It uses many short transactions, and locks nothing that an insert needs. After an
// error call it again. progress, which may be nil, is called now and then.
func (db *DB) DeleteMessages(ctx context.Context, age time.Duration, progress func(Retained)) (done Retained, err error) {
	fail := func(err error) (Retained, error) { return done, fmt.Errorf("delete old messages: %w", err) }
	if age < MinRetention {
		return fail(fmt.Errorf("messages must be kept for %s or longer", MinRetention))
	}
	err = db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, retentionCutoff, age.Seconds()).Scan(&done.Before)
	})
	if err != nil {
		return fail(err)
	}
	done.Before = done.Before.UTC()
	for behind := (room.ID{}); ; {
		trims, last, n, err := db.conversationsToTrim(ctx, behind, &done)
		if err != nil {
			return fail(err)
		}
		for _, c := range trims {
			if err := db.trim(ctx, c, &done); err != nil {
				return fail(err)
			}
		}
		if done.Conversations += int64(n); n < retainedRooms {
			return done, nil
		}
		if behind = last; progress != nil {
			progress(done)
		}
	}
}

// conversationsToTrim returns the conversations with old messages among the next n ones behind
// an id, and the last one of them.
func (db *DB) conversationsToTrim(ctx context.Context, behind room.ID, done *Retained) (trims []room.ID, last room.ID, n int, err error) {
	err = db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, conversationsToTrim, behind, done.Before, retainedRooms)
		var old, reported bool
		_, err := pgx.ForEachRow(rows, []any{&last, &old, &reported}, func() error {
			n++
			switch {
			case old && reported:
				done.Reported++
			case old:
				trims = append(trims, last)
			}
			return nil
		})
		return err
	})
	return trims, last, n, err
}

// trim deletes the old messages of one conversation, and marks them as read.
func (db *DB) trim(ctx context.Context, c room.ID, done *Retained) error {
	for more := true; more; {
		var deleted int64
		b := db.newWrite()
		b.Queue(trimConversation, c, done.Before, retainedBatch).QueryRow(func(row pgx.Row) error {
			err := row.Scan(&deleted, &more)
			if errors.Is(err, pgx.ErrNoRows) {
				more = false
				return nil
			}
			return err
		})
		if err := db.send(ctx, b); err != nil {
			return err
		}
		if done.Deleted += deleted; deleted == 0 {
			break
		}
	}
	b := db.newWrite()
	b.Queue(emptyLast, c, done.Before).Exec(func(tag pgconn.CommandTag) error {
		done.Emptied += tag.RowsAffected()
		return nil
	})
	b.Queue(markDeletedRead, c)
	return db.send(ctx, b)
}
