package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/roomspa/roomspa/internal/room"
)

// foreignEmails are the addresses with a letter that is not ASCII. It reads the whole table, once
// for each run of migrations.
const foreignEmails = `
SELECT u.id, u.email FROM roomspa.users u WHERE octet_length(u.email) > char_length(u.email) AND NOT ` + usersAreView

const foldEmail = `UPDATE roomspa.users SET email = $3 WHERE id = $1 AND email = $2`

// foldEmails rewrites addresses that earlier builds have stored in another form than
// [room.NormalizeEmail]. An address that another user has in that form stays as it is, and a
// warning names its user.
func foldEmails(ctx context.Context, db *sql.DB, log *slog.Logger) error {
	rows, err := db.QueryContext(ctx, foreignEmails)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	emails := map[int64]string{}
	for rows.Next() {
		var id int64
		var email string
		if err := rows.Scan(&id, &email); err != nil {
			return err
		}
		if room.NormalizeEmail(email) != email {
			emails[id] = email
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for id, email := range emails {
		_, err := db.ExecContext(ctx, foldEmail, id, email, room.NormalizeEmail(email))
		if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.ConstraintName == "users_email" {
			log.Warn("Migration needs a correction", "of", fmt.Sprintf("user %d: another user has the same email address in another case", id))
		} else if err != nil {
			return err
		}
	}
	return nil
}
