package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// ErrUsersAreView is the error of writing a user where roomspa.users is a view: another
// application owns the users, and roomspa only reads them.
var ErrUsersAreView = errors.New("roomspa.users is a view over another application's table, which owns the users")

// usersKind says whether roomspa.users is a view. 0 means that nobody has looked.
type usersKind = int32

const (
	usersTable usersKind = iota + 1
	usersView
)

// usersAreView is an expression. It is false where there is no roomspa.users.
const usersAreView = `coalesce((SELECT relkind NOT IN ('r', 'p') FROM pg_catalog.pg_class WHERE oid = to_regclass('roomspa.users')), false)`

const selectUsersAreView = `SELECT ` + usersAreView

// UsersAreView reports whether roomspa.users is a view over another application's table. It
// looks once; [DB.Probe] looks again.
func (db *DB) UsersAreView(ctx context.Context) (bool, error) {
	if kind := db.usersKind.Load(); kind != 0 {
		return kind == usersView, nil
	}
	var view bool
	err := db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, selectUsersAreView).Scan(&view)
	})
	if err != nil {
		return false, fmt.Errorf("look for the users table: %w", err)
	}
	db.noteUsersView(view)
	return view, nil
}

// requireOwnUsers returns [ErrUsersAreView] if roomspa.users is a view.
func (db *DB) requireOwnUsers(ctx context.Context) error {
	view, err := db.UsersAreView(ctx)
	if err == nil && view {
		return ErrUsersAreView
	}
	return err
}

func (db *DB) noteUsersView(view bool) {
	kind := usersTable
	if view {
		kind = usersView
	}
	db.usersKind.Store(kind)
}
