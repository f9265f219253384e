package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

// The users who may have written something, a page at a time. Each of these statements reads
// one entry of an index per user, however many rows the user has. Sender 0 is no user.
const (
	customersBehind = `
WITH RECURSIVE ids AS (
	(SELECT customer_id AS id FROM roomspa.conversations WHERE customer_id > $1 ORDER BY customer_id LIMIT 1)
	UNION ALL
	SELECT (SELECT c.customer_id FROM roomspa.conversations c WHERE c.customer_id > ids.id ORDER BY c.customer_id LIMIT 1)
	FROM ids WHERE ids.id IS NOT NULL
) SELECT id FROM ids WHERE id IS NOT NULL LIMIT $2`

	therapistsBehind = `
WITH RECURSIVE ids AS (
	(SELECT therapist_id AS id FROM roomspa.conversations WHERE therapist_id > $1 ORDER BY therapist_id LIMIT 1)
	UNION ALL
	SELECT (SELECT c.therapist_id FROM roomspa.conversations c WHERE c.therapist_id > ids.id ORDER BY c.therapist_id LIMIT 1)
	FROM ids WHERE ids.id IS NOT NULL
) SELECT id FROM ids WHERE id IS NOT NULL LIMIT $2`

	supportBehind = `
WITH RECURSIVE ids AS (
	(SELECT sender_id AS id FROM roomspa.messages WHERE sender_role = 'support' AND sender_id > $1 ORDER BY sender_id LIMIT 1)
	UNION ALL
	SELECT (SELECT m.sender_id FROM roomspa.messages m WHERE m.sender_role = 'support' AND m.sender_id > ids.id ORDER BY m.sender_id LIMIT 1)
	FROM ids WHERE ids.id IS NOT NULL
) SELECT id FROM ids WHERE id IS NOT NULL LIMIT $2`
)

// selectGone selects the users among $1 who do not exist and whose erasure has not ended. The
// subqueries, unlike a join, never make the planner read a whole table.
const selectGone = `
SELECT i.id FROM unnest($1::bigint[]) AS i (id)
WHERE (SELECT true FROM roomspa.users u WHERE u.id = i.id LIMIT 1) IS NULL
	AND (SELECT true FROM roomspa.erasures e WHERE e.user_id = i.id AND e.finished_at IS NOT NULL) IS NULL`

// ErrNoUsers is the error of looking for gone users where there are no users at all.
var ErrNoUsers = errors.New("roomspa.users has no rows")

// gonePage is the number of users that one statement looks for.
const gonePage = 1000

// GoneUsers calls found for each user who takes part in a conversation or has written as
// support, does not exist in roomspa.users, and is not erased. It returns [ErrNoUsers] if
// nobody exists, because then roomspa.users is wrong rather than everybody gone.
func (db *DB) GoneUsers(ctx context.Context, found func(room.UserID) error) error {
	users, err := db.ListUsers(ctx, 0, "", nil, 1)
	if err == nil && len(users) == 0 {
		err = ErrNoUsers
	}
	if err != nil {
		return fmt.Errorf("find users that are gone: %w", err)
	}
	seen := map[room.UserID]bool{}
	for _, query := range []string{customersBehind, therapistsBehind, supportBehind} {
		for behind := int64(0); ; {
			page, gone, err := db.gonePage(ctx, query, behind)
			if err != nil {
				return fmt.Errorf("find users that are gone: %w", err)
			}
			for _, id := range gone {
				if seen[id] {
					continue
				}
				seen[id] = true
				if err := found(id); err != nil {
					return err
				}
			}
			if len(page) < gonePage {
				break
			}
			behind = page[len(page)-1]
		}
	}
	return nil
}

func (db *DB) gonePage(ctx context.Context, query string, behind int64) (page []int64, gone []room.UserID, err error) {
	err = db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) (err error) {
		rows, _ := conn.Query(ctx, query, behind, gonePage)
		if page, err = pgx.CollectRows(rows, pgx.RowTo[int64]); err != nil {
			return err
		}
		rows, _ = conn.Query(ctx, selectGone, page)
		gone, err = pgx.CollectRows(rows, pgx.RowTo[room.UserID])
		return err
	})
	return page, gone, err
}

// noteUserChange makes the replicas check the sockets of a user.
const noteUserChange = `INSERT INTO roomspa.user_changes (user_id) VALUES ($1) ON CONFLICT DO NOTHING`

// EraseGone erases the text, the type and the metadata of each message of a user who does not
// exist any more, and the text of each report, as [DB.EraseUser] does. It returns the number
// of erased messages, and makes the replicas close the sockets of the user. The
// caller knows that the user does not exist.
func (db *DB) EraseGone(ctx context.Context, id room.UserID) (messages int64, err error) {
	b := db.newWrite()
	b.Queue(beginErasure, int64(id))
	b.Queue(noteUserChange, int64(id))
	if err = db.send(ctx, b); err == nil {
		messages, err = db.eraseTexts(ctx, id)
	}
	if err != nil {
		return messages, fmt.Errorf("erase user %d: %w", id, err)
	}
	return messages, nil
}

// insertsUnderWay selects the transactions that may have inserted a message and have not ended.
const insertsUnderWay = `
SELECT DISTINCT l.virtualtransaction FROM pg_catalog.pg_locks l
WHERE l.locktype = 'relation' AND l.relation = 'roomspa.messages'::regclass AND l.mode = 'RowExclusiveLock'
	AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())
	AND ($1::text[] IS NULL OR l.virtualtransaction = ANY ($1))`

// insertsPoll is the time between two looks at the transactions under way.
const insertsPoll = 20 * time.Millisecond

// waitForInserts waits until all transactions have ended that have inserted messages until now
// or are about to: a statement locks the table before it takes its snapshot.
func (db *DB) waitForInserts(ctx context.Context) error {
	var waitFor []string
	for deadline := time.Now().Add(db.opts.StatementTimeout); ; {
		err := db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) (err error) {
			rows, _ := conn.Query(ctx, insertsUnderWay, waitFor)
			waitFor, err = pgx.CollectRows(rows, pgx.RowTo[string])
			return err
		})
		if err != nil || len(waitFor) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("another transaction has been writing to roomspa.messages for %v", db.opts.StatementTimeout)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(insertsPoll):
		}
	}
}
