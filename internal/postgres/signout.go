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
UPDATE roomspa.users
SET tokens_valid_after = greatest(tokens_valid_after, date_trunc('second', greatest(now(), $2)) + interval '1 second')
WHERE id = $1`

// SignOut makes every token of a user invalid that was issued until now, by the clock of
// Postgres, or until latest, whichever is later. The caller passes as latest the issue
// time of the youngest token it knows. SignOut returns [room.ErrNotFound] if there is no such
// user.
func (db *DB) SignOut(ctx context.Context, user room.UserID, latest time.Time) error {
	b := db.newWrite()
	b.Queue(signOut, int64(user), latest).Exec(requireRow)
	if err := db.sendRequest(ctx, b); err != nil {
		return fmt.Errorf("sign out user %d: %w", user, err)
	}
	return nil
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
