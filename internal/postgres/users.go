package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

// userColumns are what scanUser reads. A view over another application's table may
// hold nulls where ours does not.
const userColumns = `id, coalesce(email, '') AS email, coalesce(phone, '') AS phone, role, is_active, tokens_valid_after`

const selectUsers = `SELECT ` + userColumns + ` FROM roomspa.users WHERE id = ANY($1)`

// Users returns the users that exist among ids. Calls that come at once are one
// query.
func (db *DB) Users(ctx context.Context, ids []room.UserID) (map[room.UserID]*room.User, error) {
	// Every handshake comes by here: one with a schema that this binary cannot serve
	// must not get as far as writing to it.
	if f := db.mismatch.Load(); f != nil && f.cause != causeReadOnly {
		return nil, fmt.Errorf("load users: %w", f)
	}
	// A copy: the query may outlast the caller.
	users, _, err := db.users.ask(ctx, slices.Clone(ids))
	if err != nil {
		return nil, fmt.Errorf("load users: %w", err)
	}
	return users, nil
}

func (db *DB) readUsers(ctx context.Context, rs []*request[[]room.UserID, map[room.UserID]*room.User]) {
	found := map[room.UserID]room.User{}
	for _, r := range rs {
		for _, id := range r.ask {
			found[id] = room.User{}
		}
	}
	ids := make([]int64, 0, len(found))
	for id := range found {
		ids = append(ids, int64(id))
	}
	err := db.trip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, selectUsers, ids)
		defer rows.Close()
		for rows.Next() {
			u, err := scanUser(rows)
			if err != nil {
				return err
			}
			found[u.ID] = u
		}
		return rows.Err()
	})
	if err != nil {
		failAll(rs, err)
		return
	}
	for _, r := range rs {
		r.answer = make(map[room.UserID]*room.User, len(r.ask))
		for _, id := range r.ask {
			if u := found[id]; u.ID != 0 {
				r.answer[id] = &u
			}
		}
	}
}

// scanUser reads userColumns, and more columns into more.
func scanUser(row pgx.CollectableRow, more ...any) (room.User, error) {
	var u room.User
	var after *time.Time
	err := row.Scan(append([]any{&u.ID, &u.Email, &u.Phone, &u.Role, &u.Active, &after}, more...)...)
	if after != nil {
		u.TokensValidAfter = after.UTC()
	}
	return u, err
}
