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
INSERT INTO roomspa.users (email, phone, role, is_active, password)
VALUES ($1, nullif($2, ''), $3, $4, $5) RETURNING id`

const insertUserWithID = `
INSERT INTO roomspa.users (email, phone, role, is_active, password, id)
VALUES ($1, nullif($2, ''), $3, $4, $5, $6) RETURNING id`

// lockUsers keeps ids from being drawn between the two halves of skipUserID.
const lockUsers = `LOCK TABLE roomspa.users IN SHARE ROW EXCLUSIVE MODE`

const skipUserID = `
SELECT setval(pg_get_serial_sequence('roomspa.users', 'id'), greatest($1::bigint, nextval(pg_get_serial_sequence('roomspa.users', 'id'))))`

// CreateUser stores a user with the hash of a password, and returns it with its
// id. An id that is given is taken, and never drawn again; 0 draws one. An email,
// phone or id that exists already, or a role that does not exist, is a
// [*room.Invalid].
func (db *DB) CreateUser(ctx context.Context, u room.User, hash string) (room.User, error) {
	query, args := insertUser, []any{u.Email, u.Phone, string(u.Role), u.Active, hash}
	if u.ID != 0 {
		query, args = insertUserWithID, append(args, u.ID)
	}
	var invalid *room.Invalid
	err := db.trip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if err := db.limit(ctx, tx); err != nil {
				return err
			}
			if u.ID != 0 {
				if err := takeUserID(ctx, tx, u.ID); err != nil {
					return err
				}
			}
			return tx.QueryRow(ctx, query, args...).Scan(&u.ID)
		})
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

func takeUserID(ctx context.Context, tx pgx.Tx, id room.UserID) error {
	if _, err := tx.Exec(ctx, lockUsers); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, skipUserID, int64(id))
	return err
}

// limit sets the transaction's time-outs where the session has none.
func (db *DB) limit(ctx context.Context, tx pgx.Tx) error {
	if !db.opts.PgBouncer {
		return nil
	}
	_, err := tx.Exec(ctx, limitTransaction, milliseconds(db.opts.StatementTimeout), milliseconds(db.opts.LockTimeout))
	return err
}

// invalidUser says which field breaks a constraint, if that is what err is about.
func invalidUser(err error) *room.Invalid {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return nil
	}
	switch pg.ConstraintName {
	case "users_pkey":
		return &room.Invalid{Code: "already_exists", Field: "id", Detail: "there is a user with this id already"}
	case "users_email":
		return &room.Invalid{Code: "already_exists", Field: "email", Detail: "there is a user with this email already"}
	case "users_phone":
		return &room.Invalid{Code: "already_exists", Field: "phone", Detail: "there is a user with this phone number already"}
	case "users_role":
		return &room.Invalid{Code: "bad_role", Field: "role", Detail: "the role must be customer, therapist or support"}
	case "users_id_range":
		return &room.Invalid{Code: "bad_id", Field: "id", Detail: "the id must be between 1 and 2^53-1"}
	}
	return nil
}
