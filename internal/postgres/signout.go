package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

// signOut sets the next full second: tokens have their time of issue in full seconds,
// and those of the current second must become invalid too.
const signOut = `
INSERT INTO roomspa.user_facts AS f (user_id, tokens_valid_after)
SELECT u.id, date_trunc('second', greatest(now(), $2)) + interval '1 second' FROM roomspa.users u WHERE u.id = $1
ON CONFLICT (user_id) DO UPDATE SET tokens_valid_after = greatest(f.tokens_valid_after, excluded.tokens_valid_after)`

// copySignOut writes the fact into the table of users too, where binaries of schema 10 read it.
const copySignOut = `
UPDATE roomspa.users u SET tokens_valid_after = f.tokens_valid_after FROM roomspa.user_facts f
WHERE u.id = $1 AND f.user_id = u.id AND f.tokens_valid_after > coalesce(u.tokens_valid_after, '-infinity')`

// SignOut makes every token of a user invalid that was issued until now, by the clock of
// Postgres, or until latest, whichever is later. The caller passes as latest the issue
// time of the youngest token it knows. SignOut returns [room.ErrNotFound] if there is no such
// user.
func (db *DB) SignOut(ctx context.Context, user room.UserID, latest time.Time) error {
	view, err := db.UsersAreView(ctx)
	if err != nil {
		return fmt.Errorf("sign out user %d: %w", user, err)
	}
	b := db.newWrite()
	b.Queue(signOut, int64(user), latest).Exec(requireRow)
	if !view {
		b.Queue(copySignOut, int64(user))
	}
	if err := db.sendRequest(ctx, b); err != nil {
		return fmt.Errorf("sign out user %d: %w", user, err)
	}
	return nil
}

const setActive = `UPDATE roomspa.users SET is_active = $2 WHERE id = $1`

// SetActive activates or deactivates a user. It returns [room.ErrNotFound] if there is
// no such user, and [ErrUsersAreView] where another application owns the users.
func (db *DB) SetActive(ctx context.Context, user room.UserID, active bool) error {
	if err := db.requireOwnUsers(ctx); err != nil {
		return fmt.Errorf("set active of user %d to %v: %w", user, active, err)
	}
	b := db.newWrite()
	b.Queue(setActive, int64(user), active).Exec(requireRow)
	if err := db.send(ctx, b); err != nil {
		return fmt.Errorf("set active of user %d to %v: %w", user, active, err)
	}
	return nil
}
