package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/roomspa/roomspa/internal/room"
)

const credentialsByEmail = `
SELECT ` + userColumns + `, password FROM roomspa.users WHERE lower(email) = lower($1) ORDER BY id LIMIT 1`

const credentialsByPhone = `
SELECT ` + userColumns + `, password FROM roomspa.users WHERE phone = $1 ORDER BY id LIMIT 1`

// Credentials returns the user of an email address, in whatever case, or of a
// phone number, and the hash of the password; or [room.ErrNotFound].
func (db *DB) Credentials(ctx context.Context, identifier string) (u room.User, hash string, err error) {
	query := credentialsByPhone
	if strings.Contains(identifier, "@") {
		query = credentialsByEmail
	}
	err = db.trip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, query, identifier)
		u, err = pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (room.User, error) {
			return scanUser(row, &hash)
		})
		return err
	})
	if err != nil {
		return room.User{}, "", fmt.Errorf("load credentials: %w", err)
	}
	return u, hash, nil
}

const replaceHash = `UPDATE roomspa.users SET password = $3 WHERE id = $1 AND password = $2`

// ReplaceHash stores a new hash of a user's password, unless it is no longer old:
// then it is [room.ErrNotFound], and somebody else has set another password.
func (db *DB) ReplaceHash(ctx context.Context, id room.UserID, old, new string) error {
	b := db.writing()
	b.Queue(replaceHash, id, old, new).Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() == 0 {
			return pgx.ErrNoRows
		}
		return nil
	})
	err := db.trip(ctx, func(ctx context.Context, conn *pgx.Conn) error { return send(ctx, conn, b) })
	if err != nil {
		return fmt.Errorf("replace the password's hash of user %d: %w", id, err)
	}
	return nil
}
