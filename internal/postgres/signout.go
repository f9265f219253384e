package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/roomspa/roomspa/internal/room"
)

// signOut sets the next whole second: a token says the second alone in which it
// was issued, and none of this one may be left.
const signOut = `
UPDATE roomspa.users
SET tokens_valid_after = greatest(tokens_valid_after, date_trunc('second', greatest(now(), $2)) + interval '1 second')
WHERE id = $1 RETURNING tokens_valid_after`

// SignOut makes every token of a user invalid that was issued up to now, by the
// clock of Postgres or by latest, the time of the youngest token that the caller
// knows of, whichever is ahead. It returns the time before which a token of the
// user is refused; or [room.ErrNotFound].
func (db *DB) SignOut(ctx context.Context, user room.UserID, latest time.Time) (validAfter time.Time, err error) {
	b := db.writing()
	b.Queue(signOut, int64(user), latest).QueryRow(func(row pgx.Row) error { return row.Scan(&validAfter) })
	if err := db.trip(ctx, func(ctx context.Context, conn *pgx.Conn) error { return send(ctx, conn, b) }); err != nil {
		return time.Time{}, fmt.Errorf("sign out user %d: %w", user, err)
	}
	return validAfter.UTC(), nil
}

const setActive = `UPDATE roomspa.users SET is_active = $2 WHERE id = $1`

// SetActive activates or deactivates a user; one who does not exist is
// [room.ErrNotFound].
func (db *DB) SetActive(ctx context.Context, user room.UserID, active bool) error {
	b := db.writing()
	b.Queue(setActive, int64(user), active).Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() == 0 {
			return pgx.ErrNoRows
		}
		return nil
	})
	if err := db.trip(ctx, func(ctx context.Context, conn *pgx.Conn) error { return send(ctx, conn, b) }); err != nil {
		return fmt.Errorf("set whether user %d is active: %w", user, err)
	}
	return nil
}

// refusedTokens asks by id rather than for what has changed since some time: a
// user may be deactivated by Django or by hand, with no time beside it, and the
// users may be a view. The lateral join looks at one row for each id.
const refusedTokens = `
SELECT t.id, u.id IS NOT NULL, coalesce(u.is_active, false), u.tokens_valid_after
FROM unnest($1::bigint[], $2::timestamptz[]) AS t (id, issued)
LEFT JOIN LATERAL (
	SELECT id, is_active, tokens_valid_after FROM roomspa.users WHERE id = t.id LIMIT 1
) u ON true
WHERE u.id IS NULL OR NOT u.is_active OR u.tokens_valid_after > t.issued`

// RefusedTokens returns those of the users for whom a token that was issued at the
// time beside the id does not speak any more, as [room.User.Refuses] judges; nil
// stands for one who is gone. A zero time is a token that does not say when.
func (db *DB) RefusedTokens(ctx context.Context, issued map[room.UserID]time.Time) (map[room.UserID]*room.User, error) {
	ids, times := make([]int64, 0, len(issued)), make([]time.Time, 0, len(issued))
	for id, at := range issued {
		ids, times = append(ids, int64(id)), append(times, at)
	}
	refused := map[room.UserID]*room.User{}
	err := db.trip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, refusedTokens, ids, times)
		var known bool
		var u room.User
		var after *time.Time
		_, err := pgx.ForEachRow(rows, []any{&u.ID, &known, &u.Active, &after}, func() error {
			refused[u.ID] = nil
			if known {
				one := u
				if after != nil {
					one.TokensValidAfter = after.UTC()
				}
				refused[u.ID] = &one
			}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for refused tokens: %w", err)
	}
	return refused, nil
}
