package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

// FindUser returns a user by id, email address or phone number, or
// [room.ErrNotFound]. What [room.ParseUserID] can read is an id.
func (db *DB) FindUser(ctx context.Context, which string) (u room.User, err error) {
	id, ok := room.ParseUserID(which)
	if !ok {
		u, _, err = db.Credentials(ctx, which)
		return u, err
	}
	err = db.trip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, selectUsers, []int64{int64(id)})
		u, err = pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (room.User, error) { return scanUser(row) })
		return err
	})
	if err != nil {
		return room.User{}, fmt.Errorf("load user %d: %w", id, err)
	}
	return u, nil
}

const listUsers = `
SELECT ` + userColumns + ` FROM roomspa.users
WHERE id > $1 AND ($2 = '' OR role = $2) AND ($3::boolean IS NULL OR is_active = $3)
ORDER BY id LIMIT $4`

// ListUsers returns the users behind an id in the order of the ids, at most limit;
// of one role alone unless that is empty, and active or not unless active is nil.
func (db *DB) ListUsers(ctx context.Context, behind room.UserID, role room.Role, active *bool, limit int) (users []room.User, err error) {
	err = db.trip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, listUsers, int64(behind), string(role), active, limit)
		users, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (room.User, error) { return scanUser(row) })
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return users, nil
}
