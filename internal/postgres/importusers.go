package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

// An ImportedUser is a user from another system, with its id and password hash there.
type ImportedUser struct {
	room.User

	Hash      string
	CreatedAt time.Time
}

// ImportedUsers is the result of an import of users.
type ImportedUsers struct {
	Added   int64
	Known   int64         // existed already and were not changed
	Changed []room.UserID // of the known, those with another email, phone, role or state
	Erased  []room.UserID // were erased here and stay erased
	Taken   []room.UserID // another user has the same email or phone
}

const erasedUsers = `SELECT user_id FROM roomspa.erasures WHERE user_id = ANY($1)`

const takenByOthers = `
SELECT i.id FROM unnest($1::bigint[], $2::text[], $3::text[]) AS i (id, email, phone)
WHERE EXISTS (SELECT FROM roomspa.users u WHERE lower(u.email) = lower(i.email) AND u.id <> i.id)
	OR EXISTS (SELECT FROM roomspa.users u WHERE ` + phoneNumber + ` = i.phone AND u.id <> i.id)`

const importUsers = `
INSERT INTO roomspa.users (id, email, phone, role, is_active, password, created_at)
SELECT i.id, i.email, nullif(i.phone, ''), i.role, i.is_active, i.password, i.created_at
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::text[], $7::timestamptz[])
	AS i (id, email, phone, role, is_active, password, created_at)
ON CONFLICT DO NOTHING
RETURNING id`

// ImportUsers adds the users that do not exist yet, in one transaction. If write is
// false, it only returns what it would do. It changes no existing user. Call
// [DB.ReserveUserIDs] when all users are added.
func (db *DB) ImportUsers(ctx context.Context, users []ImportedUser, write bool) (ImportedUsers, error) {
	var done ImportedUsers
	err := db.transaction(ctx, func(tx pgx.Tx) (err error) {
		done, err = importUserBatch(ctx, tx, users, write)
		return err
	})
	if err != nil {
		return ImportedUsers{}, fmt.Errorf("import users: %w", err)
	}
	return done, nil
}

func importUserBatch(ctx context.Context, tx pgx.Tx, users []ImportedUser, write bool) (ImportedUsers, error) {
	var done ImportedUsers
	users = slices.Clone(users)
	for i, u := range users {
		users[i].Email, users[i].Phone = room.NormalizeEmail(u.Email), room.NormalizePhone(u.Phone)
	}
	ids := make([]int64, len(users))
	emails, phones := make([]string, len(users)), make([]string, len(users))
	for i, u := range users {
		ids[i], emails[i], phones[i] = int64(u.ID), u.Email, u.Phone
	}
	rows, _ := tx.Query(ctx, selectUsers, ids)
	existing, err := collectUsers(rows)
	if err != nil {
		return done, err
	}
	known := map[room.UserID]room.User{}
	for _, u := range existing {
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
		old, exists := known[u.ID]
		switch {
		case erased[u.ID]:
			done.Erased = append(done.Erased, u.ID)
		case exists:
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
		if err == nil && !added[u.ID] { // conflicts with another user of this import
			done.Taken = append(done.Taken, u.ID)
		}
	}
	done.Added = int64(len(added))
	return done, err
}

func differ(a, b room.User) bool {
	return room.NormalizeIdentifier(a.Email) != room.NormalizeIdentifier(b.Email) || room.NormalizePhone(a.Phone) != b.Phone || a.Role != b.Role || a.Active != b.Active
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

// userIDs runs a statement that returns ids of users.
func userIDs(ctx context.Context, tx pgx.Tx, sql string, args ...any) (map[room.UserID]bool, error) {
	rows, _ := tx.Query(ctx, sql, args...)
	ids := map[room.UserID]bool{}
	var id room.UserID
	_, err := pgx.ForEachRow(rows, []any{&id}, func() error { ids[id] = true; return nil })
	return ids, err
}
