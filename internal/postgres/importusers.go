package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

// An ImportedUser is a user of another system, with the id and the hash that it has
// there.
type ImportedUser struct {
	room.User

	Hash      string
	CreatedAt time.Time
}

// ImportedUsers is what became of some of them.
type ImportedUsers struct {
	Added   int64
	Known   int64         // were there already, and are left as they are
	Changed []room.UserID // of those: differ by email, phone, role or whether they are active
	Erased  []room.UserID // were erased here, and stay so
	Taken   []room.UserID // whose email or phone another user has
}

const erasedUsers = `SELECT user_id FROM roomspa.erasures WHERE user_id = ANY($1)`

const takenByOthers = `
SELECT i.id FROM unnest($1::bigint[], $2::text[], $3::text[]) AS i (id, email, phone)
WHERE EXISTS (SELECT FROM roomspa.users u WHERE lower(u.email) = lower(i.email) AND u.id <> i.id)
	OR EXISTS (SELECT FROM roomspa.users u WHERE u.phone = i.phone AND u.id <> i.id)`

const importUsers = `
INSERT INTO roomspa.users (id, email, phone, role, is_active, password, created_at)
SELECT i.id, i.email, nullif(i.phone, ''), i.role, i.is_active, i.password, i.created_at
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::text[], $7::timestamptz[])
	AS i (id, email, phone, role, is_active, password, created_at)
ON CONFLICT DO NOTHING
RETURNING id`

// ImportUsers adds those of the users that are not there yet, in one transaction; or
// says only what it would do, unless write. No user that is there is changed. Call
// [DB.KeepUserIDs] when all are added.
func (db *DB) ImportUsers(ctx context.Context, users []ImportedUser, write bool) (ImportedUsers, error) {
	var done ImportedUsers
	err := db.transaction(ctx, func(tx pgx.Tx) (err error) {
		done, err = db.importUsers(ctx, tx, users, write)
		return err
	})
	if err != nil {
		return ImportedUsers{}, fmt.Errorf("import users: %w", err)
	}
	return done, nil
}

func (db *DB) importUsers(ctx context.Context, tx pgx.Tx, users []ImportedUser, write bool) (ImportedUsers, error) {
	var done ImportedUsers
	ids := make([]int64, len(users))
	emails, phones := make([]string, len(users)), make([]string, len(users))
	for i, u := range users {
		ids[i], emails[i], phones[i] = int64(u.ID), u.Email, u.Phone
	}
	rows, _ := tx.Query(ctx, selectUsers, ids)
	there, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (room.User, error) { return scanUser(row) })
	if err != nil {
		return done, err
	}
	known := map[room.UserID]room.User{}
	for _, u := range there {
		known[u.ID] = u
	}
	erased, err := userIDs(ctx, tx, erasedUsers, ids)
	if err != nil {
		return done, err
	}
	taken, err := userIDs(ctx, tx, takenByOthers, ids, emails, phones)
	if err != nil {
		return done, err
	}
	var fresh []ImportedUser
	for _, u := range users {
		old, there := known[u.ID]
		switch {
		case erased[u.ID]:
			done.Erased = append(done.Erased, u.ID)
		case there:
			done.Known++
			if differ(old, u.User) {
				done.Changed = append(done.Changed, u.ID)
			}
		case taken[u.ID]:
			done.Taken = append(done.Taken, u.ID)
		default:
			fresh = append(fresh, u)
		}
	}
	if !write {
		done.Added = int64(len(fresh))
		return done, nil
	}
	added, err := insertUsers(ctx, tx, fresh)
	for _, u := range fresh {
		if err == nil && !added[u.ID] { // two of one import
			done.Taken = append(done.Taken, u.ID)
		}
	}
	done.Added = int64(len(added))
	return done, err
}

func differ(a, b room.User) bool {
	return !strings.EqualFold(a.Email, b.Email) || a.Phone != b.Phone || a.Role != b.Role || a.Active != b.Active
}

func insertUsers(ctx context.Context, tx pgx.Tx, users []ImportedUser) (map[room.UserID]bool, error) {
	n := len(users)
	ids, active, created := make([]int64, n), make([]bool, n), make([]time.Time, n)
	emails, phones, roles, hashes := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	for i, u := range users {
		ids[i], emails[i], phones[i], roles[i] = int64(u.ID), u.Email, u.Phone, string(u.Role)
		active[i], hashes[i], created[i] = u.Active, u.Hash, u.CreatedAt
	}
	return userIDs(ctx, tx, importUsers, ids, emails, phones, roles, active, hashes, created)
}

// userIDs runs a statement whose rows are ids of users.
func userIDs(ctx context.Context, tx pgx.Tx, sql string, args ...any) (map[room.UserID]bool, error) {
	rows, _ := tx.Query(ctx, sql, args...)
	ids := map[room.UserID]bool{}
	var id room.UserID
	_, err := pgx.ForEachRow(rows, []any{&id}, func() error { ids[id] = true; return nil })
	return ids, err
}

// KeepUserIDs sees to it that no id up to one is ever drawn for a new user.
func (db *DB) KeepUserIDs(ctx context.Context, upTo room.UserID) error {
	err := db.transaction(ctx, func(tx pgx.Tx) error { return takeUserID(ctx, tx, upTo) })
	if err != nil {
		return fmt.Errorf("keep the ids of users: %w", err)
	}
	return nil
}

// transaction runs f in one transaction.
func (db *DB) transaction(ctx context.Context, f func(pgx.Tx) error) error {
	return db.trip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if err := db.limit(ctx, tx); err != nil {
				return err
			}
			return f(tx)
		})
	})
}
