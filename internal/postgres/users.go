package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

// userColumns are the columns of users u that scanUser reads. The casts keep the types the
// same where a view has others, because prepared statements outlive the change from the table
// to a view.
const userColumns = `u.id::bigint, coalesce(u.email, '')::text, coalesce(u.phone, '')::text, u.role::text, u.is_active,
	greatest(u.tokens_valid_after, (SELECT f.tokens_valid_after FROM roomspa.user_facts f WHERE f.user_id = u.id))`

// scanUser reads userColumns, and further columns into more.
func scanUser(row pgx.CollectableRow, more ...any) (room.User, error) {
	var u room.User
	var after *time.Time
	err := row.Scan(append([]any{&u.ID, &u.Email, &u.Phone, &u.Role, &u.Active, &after}, more...)...)
	if after != nil {
		u.TokensValidAfter = after.UTC()
	}
	return u, err
}

func collectUsers(rows pgx.Rows) ([]room.User, error) {
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (room.User, error) { return scanUser(row) })
}

const selectUsers = `SELECT ` + userColumns + ` FROM roomspa.users u WHERE u.id = ANY($1)`

// Users returns the users that exist among ids. Concurrent calls are one query.
func (db *DB) Users(ctx context.Context, ids []room.UserID) (map[room.UserID]*room.User, error) {
	// Every handshake loads users. With a schema that this binary cannot serve, it must
	// fail here, before it writes anything.
	if f := db.schemaProblem.Load(); f != nil && f.cause != causeReadOnly {
		return nil, fmt.Errorf("load users: %w", f)
	}
	// A copy, since the query may outlast the call.
	users, _, err := db.users.call(ctx, slices.Clone(ids))
	if err != nil {
		return nil, fmt.Errorf("load users: %w", err)
	}
	return users, nil
}

// serveUsers serves calls of Users.
func (db *DB) serveUsers(ctx context.Context, rs []*request[[]room.UserID, map[room.UserID]*room.User]) {
	found := map[room.UserID]room.User{}
	for _, r := range rs {
		for _, id := range r.arg {
			found[id] = room.User{}
		}
	}
	ids := make([]int64, 0, len(found))
	for id := range found {
		ids = append(ids, int64(id))
	}
	err := db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
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
		r.result = make(map[room.UserID]*room.User, len(r.arg))
		for _, id := range r.arg {
			if u := found[id]; u.ID != 0 {
				r.result[id] = &u
			}
		}
	}
}

// FindUser returns a user by id, email address or phone number, or [room.ErrNotFound].
// A string that [room.ParseUserID] accepts is an id.
func (db *DB) FindUser(ctx context.Context, identifier string) (u room.User, err error) {
	id, ok := room.ParseUserID(identifier)
	if !ok {
		u, _, err = db.Credentials(ctx, identifier)
		return u, err
	}
	err = db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
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
SELECT ` + userColumns + ` FROM roomspa.users u
WHERE u.id > $1 AND coalesce(u.role = nullif($2, ''), true) AND coalesce(u.is_active = $3, true)
ORDER BY u.id LIMIT $4`

// ListUsers returns the users with an id above behind, ordered by id, at most limit. An
// empty role and a nil active match all users.
func (db *DB) ListUsers(ctx context.Context, behind room.UserID, role room.Role, active *bool, limit int) (users []room.User, err error) {
	err = db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, listUsers, int64(behind), string(role), active, limit)
		users, err = collectUsers(rows)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return users, nil
}

const credentialsByEmail = `
SELECT ` + userColumns + `, u.password::text FROM roomspa.users u WHERE lower(u.email) = lower($1) ORDER BY u.id LIMIT 1`

// credentialsByExactEmail compares as Django does. The unique index of its table is on the
// address as it is written.
const credentialsByExactEmail = `
SELECT ` + userColumns + `, u.password::text FROM roomspa.users u WHERE u.email = $1 LIMIT 1`

// credentialsByExactPhone compares as Django does.
const credentialsByExactPhone = `
SELECT ` + userColumns + `, u.password::text FROM roomspa.users u WHERE u.phone = $1 LIMIT 1`

// phoneNumber is the expression of the index users_phone_number. It does most of what
// [room.NormalizePhone] does, for numbers that SQL or earlier builds have stored.
const phoneNumber = `translate(u.phone, ' -./()[]', '')`

// credentialsByPhone prefers, of users who have the same number, the one who has it as it was typed.
const credentialsByPhone = `
SELECT ` + userColumns + `, u.password::text FROM roomspa.users u
WHERE ` + phoneNumber + ` IN ($2, $3) OR u.phone = $1 ORDER BY u.phone = $1 DESC, u.id LIMIT 1`

// Credentials returns the user with an email address or a phone number, and the hash of the
// password. They are compared as [room.NormalizeIdentifier] writes them, except where
// roomspa.users is a view: two users of Django may have addresses that differ in nothing else.
// It returns [room.ErrNotFound] if there is none.
func (db *DB) Credentials(ctx context.Context, identifier string) (u room.User, hash string, err error) {
	view, err := db.UsersAreView(ctx)
	if err != nil {
		return room.User{}, "", fmt.Errorf("load credentials: %w", err)
	}
	forms := room.PhoneForms(identifier)
	query, args := credentialsByPhone, []any{identifier, forms[0], forms[1]}
	switch email := strings.Contains(identifier, "@"); {
	case view && email:
		query, args = credentialsByExactEmail, []any{identifier}
	case view:
		query, args = credentialsByExactPhone, []any{identifier}
	case email:
		query, args = credentialsByEmail, []any{room.NormalizeEmail(identifier)}
	}
	find := func() error {
		return db.requestRoundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
			rows, _ := conn.Query(ctx, query, args...)
			u, err = pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (room.User, error) {
				return scanUser(row, &hash)
			})
			return err
		})
	}
	err = find()
	if query == credentialsByPhone && errors.Is(err, room.ErrNotFound) && !slices.Contains(forms[:2], forms[2]) {
		args[1], args[2] = forms[2], forms[2]
		err = find()
	}
	if err != nil {
		return room.User{}, "", fmt.Errorf("load credentials: %w", err)
	}
	return u, hash, nil
}

const replaceHash = `UPDATE roomspa.users SET password = $3 WHERE id = $1 AND password = $2 AND NOT ` + usersAreView

// ReplaceHash replaces the hash of a user's password. It returns [room.ErrNotFound] if
// the hash is no longer old, because the password has been changed meanwhile, and if
// roomspa.users has become a view. [ErrUsersAreView] says that it was one before.
func (db *DB) ReplaceHash(ctx context.Context, id room.UserID, old, new string) error {
	if err := db.requireOwnUsers(ctx); err != nil {
		return fmt.Errorf("replace the password hash of user %d: %w", id, err)
	}
	b := db.newWrite()
	b.Queue(replaceHash, id, old, new).Exec(requireRow)
	if err := db.sendRequest(ctx, b); err != nil {
		return fmt.Errorf("replace the password hash of user %d: %w", id, err)
	}
	return nil
}
