package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

// maxUserChanges is the number of changes that one poll returns.
const maxUserChanges = 5000

// userChanges selects what a snapshot sees of the transactions from $1 on, and the oldest
// transaction that the snapshot does not see whole. All earlier ones have ended, so a later
// poll from there misses none, in whatever order they commit.
const userChanges = `
SELECT pg_snapshot_xmin(pg_current_snapshot())::text, ARRAY(
	SELECT user_id FROM roomspa.user_changes WHERE xact >= $1::text::xid8 ORDER BY xact DESC, user_id LIMIT $2
)`

// ChangedUsers returns the users whose role, activity or sign-out was changed, or who were
// deleted, since a mark, the newest change first, and the next mark. An empty mark stands
// for the oldest change that is stored. Changes are returned again until all transactions
// that were under way with them have ended. ChangedUsers returns none if the users are a
// view.
func (db *DB) ChangedUsers(ctx context.Context, since string) (users []room.UserID, next string, err error) {
	if since == "" {
		since = "0"
	}
	err = db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, userChanges, since, maxUserChanges).Scan(&next, &users)
	})
	if err != nil {
		return nil, "", fmt.Errorf("find changed users: %w", err)
	}
	return users, next, nil
}

// forgetUserChanges also deletes changes of the future: those of the database of which this
// one is a copy. It skips rows that another replica is deleting.
const forgetUserChanges = `
DELETE FROM roomspa.user_changes WHERE ctid = ANY (ARRAY(
	SELECT ctid FROM roomspa.user_changes
	WHERE xact < $1::text::xid8 OR xact > pg_snapshot_xmax(pg_current_snapshot())
	LIMIT 10000 FOR UPDATE SKIP LOCKED
))`

// ForgetUserChanges deletes changes before a mark of [DB.ChangedUsers].
func (db *DB) ForgetUserChanges(ctx context.Context, mark string) error {
	b := db.newWrite()
	b.Queue(forgetUserChanges, mark)
	if err := db.send(ctx, b); err != nil {
		return fmt.Errorf("forget user changes: %w", err)
	}
	return nil
}
