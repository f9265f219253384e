package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

// signOut sets the next full second: tokens have their time of issue in full seconds,
// and those of the current second must become invalid too.
const signOut = `
UPDATE roomspa.users
SET tokens_valid_after = greatest(tokens_valid_after, date_trunc('second', greatest(now(), $2)) + interval '1 second')
WHERE id = $1 RETURNING tokens_valid_after`

// SignOut makes every token of a user invalid that was issued until now, by the clock of
// Postgres, or until latest, whichever is later. The caller passes as latest the issue
// time of the youngest token it knows. SignOut returns the time before which tokens of
// the user are refused, or [room.ErrNotFound].
func (db *DB) SignOut(ctx context.Context, user room.UserID, latest time.Time) (validAfter time.Time, err error) {
	b := db.newWrite()
	b.Queue(signOut, int64(user), latest).QueryRow(func(row pgx.Row) error { return row.Scan(&validAfter) })
	if err := db.send(ctx, b); err != nil {
		return time.Time{}, fmt.Errorf("sign out user %d: %w", user, err)
	}
	return validAfter.UTC(), nil
}

const setActive = `UPDATE roomspa.users SET is_active = $2 WHERE id = $1`

// SetActive activates or deactivates a user. It returns [room.ErrNotFound] if there is
// no such user.
func (db *DB) SetActive(ctx context.Context, user room.UserID, active bool) error {
	b := db.newWrite()
	b.Queue(setActive, int64(user), active).Exec(requireRow)
	if err := db.send(ctx, b); err != nil {
		return fmt.Errorf("set active of user %d to %v: %w", user, active, err)
	}
	return nil
}

// refusedTokens selects the users whose tokens are refused. It looks users up by id, not
// by time of change, because Django or an operator may deactivate a user without
// recording a time. The lateral join reads at most one row per id, also from a view.
const refusedTokens = `
SELECT t.id, u.id IS NOT NULL, coalesce(u.is_active, false), u.tokens_valid_after
FROM unnest($1::bigint[], $2::timestamptz[]) AS t (id, issued)
LEFT JOIN LATERAL (
	SELECT id, is_active, tokens_valid_after FROM roomspa.users WHERE id = t.id LIMIT 1
) u ON true
WHERE u.id IS NULL OR NOT u.is_active OR u.tokens_valid_after > t.issued`

// RefusedTokens returns the users whose token, issued at the time beside their id, is no
// longer valid, as [room.User.Refuses] decides. A user who does not exist is nil. A zero
// time is that of a token without a time of issue.
func (db *DB) RefusedTokens(ctx context.Context, issued map[room.UserID]time.Time) (map[room.UserID]*room.User, error) {
	ids, times := make([]int64, 0, len(issued)), make([]time.Time, 0, len(issued))
	for id, at := range issued {
		ids, times = append(ids, int64(id)), append(times, at)
	}
	refused := map[room.UserID]*room.User{}
	err := db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, refusedTokens, ids, times)
		var exists bool
		var u room.User
		var after *time.Time
		_, err := pgx.ForEachRow(rows, []any{&u.ID, &exists, &u.Active, &after}, func() error {
			refused[u.ID] = nil
			if exists {
				user := u
				if after != nil {
					user.TokensValidAfter = after.UTC()
				}
				refused[u.ID] = &user
			}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find refused tokens: %w", err)
	}
	return refused, nil
}
