package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/roomspa/roomspa/internal/room"
)

const insertUser = `
INSERT INTO roomspa.users (email, phone, role, is_active, password, name)
VALUES (nullif($1, ''), nullif($2, ''), $3, $4, $5, nullif($6, '')) RETURNING id`

const insertUserWithID = `
INSERT INTO roomspa.users (email, phone, role, is_active, password, name, id)
VALUES (nullif($1, ''), nullif($2, ''), $3, $4, $5, nullif($6, ''), $7) RETURNING id`

// lockUsers keeps ids from being drawn between the nextval and the setval of
// skipUserIDs.
const lockUsers = `LOCK TABLE roomspa.users IN SHARE ROW EXCLUSIVE MODE`

const skipUserIDs = `
SELECT setval(pg_get_serial_sequence('roomspa.users', 'id'), greatest($1::bigint, nextval(pg_get_serial_sequence('roomspa.users', 'id'))))`

// CreateUser stores a user with the hash of a password, and returns it with its id. A
// u.ID of 0 draws an id; any other is used and never drawn later. An email, phone or id
// that exists already, or an unknown role, is a [*room.Invalid]. Where another application
// owns the users, the error is [ErrUsersAreView]. The email and the phone are stored as
// [room.NormalizeEmail] and [room.NormalizePhone] write them.
func (db *DB) CreateUser(ctx context.Context, u room.User, hash string) (room.User, error) {
	return db.CreateNamedUser(ctx, u, "", hash)
}

// CreateNamedUser is [DB.CreateUser] for a user with a name, which the predecessor's clients show.
func (db *DB) CreateNamedUser(ctx context.Context, u room.User, name, hash string) (room.User, error) {
	if err := db.requireOwnUsers(ctx); err != nil {
		return room.User{}, fmt.Errorf("create user: %w", err)
	}
	u.Email, u.Phone = room.NormalizeEmail(u.Email), room.NormalizePhone(u.Phone)
	query, args := insertUser, []any{u.Email, u.Phone, string(u.Role), u.Active, hash, name}
	if u.ID != 0 {
		query, args = insertUserWithID, append(args, u.ID)
	}
	var invalid *room.Invalid
	err := db.transaction(ctx, func(tx pgx.Tx) (err error) {
		if u.ID != 0 {
			err = reserveUserIDs(ctx, tx, u.ID)
		}
		if err == nil {
			err = tx.QueryRow(ctx, query, args...).Scan(&u.ID)
		}
		invalid = invalidUser(err)
		return err
	})
	switch {
	case invalid != nil:
		return room.User{}, fmt.Errorf("create user: %w", invalid)
	case err != nil:
		return room.User{}, fmt.Errorf("create user: %w", err)
	}
	return u, nil
}

// reserveUserIDs makes sure that no id up to upTo is drawn for a new user.
func reserveUserIDs(ctx context.Context, tx pgx.Tx, upTo room.UserID) error {
	if _, err := tx.Exec(ctx, lockUsers); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, skipUserIDs, int64(upTo))
	return err
}

// invalidUser returns the field that violates a constraint, or nil if err is another
// error.
func invalidUser(err error) *room.Invalid {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return nil
	}
	switch pg.ConstraintName {
	case "users_pkey":
		return &room.Invalid{Code: "already_exists", Field: "id", Detail: "a user with this id already exists"}
	case "users_email":
		return &room.Invalid{Code: "already_exists", Field: "email", Detail: "a user with this email already exists"}
	case "users_phone", "users_phone_number":
		return &room.Invalid{Code: "already_exists", Field: "phone", Detail: "a user with this phone number already exists"}
	case "users_role":
		return &room.Invalid{Code: "bad_role", Field: "role", Detail: "the role must be customer, therapist or support"}
	case "users_id_range":
		return &room.Invalid{Code: "bad_id", Field: "id", Detail: "the id must be between 1 and 2^53-1"}
	}
	return nil
}
