package adopt

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// createView reads users as they are. Only is_staff and is_superuser make support: the predecessor
// stored whatever role a registrant sent. E-mail addresses and phone numbers are the plain
// columns, so that their indexes are used.
const createView = `
CREATE VIEW roomspa.users AS
SELECT id, name, email, phone, role, is_active, coalesce(password, '!') AS password, NULL::timestamptz AS tokens_valid_after, created_at
FROM {users} u`

const usersRelation = `
SELECT c.relkind::text, coalesce(obj_description(c.oid, 'pg_class'), '')
FROM pg_catalog.pg_class c WHERE c.oid = to_regclass('roomspa.users')`

// usersGrants returns who else may use roomspa.users.
const usersGrants = `
SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
FROM pg_catalog.pg_class c, aclexplode(c.relacl) a
WHERE c.oid = 'roomspa.users'::regclass AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner`

// viewMark is the comment on a view that adopt has made, from which it knows whether the
// definition has changed.
func (a *Adoption) viewMark() string {
	sum := sha256.Sum256([]byte(a.src.sql(createView)))
	return "Made by roomspa adopt django: " + hex.EncodeToString(sum[:8])
}

// checkUsers refuses a table roomspa.users with users in it.
func (a *Adoption) checkUsers(ctx context.Context) error {
	err := a.transaction(ctx, func(tx pgx.Tx) error {
		_, _, err := usersNow(ctx, tx)
		return err
	})
	if _, ok := errors.AsType[*Refusal](err); err != nil && !ok {
		return fmt.Errorf("look at roomspa.users: %w", a.explain(err))
	}
	return err
}

// usersNow returns the kind of roomspa.users and its comment. It refuses a table that holds users.
func usersNow(ctx context.Context, tx pgx.Tx) (kind, comment string, err error) {
	err = tx.QueryRow(ctx, usersRelation).Scan(&kind, &comment)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", "", refuse("there is no roomspa.users: run roomspa migrate up first")
	}
	if err != nil || kind == "v" {
		return kind, comment, err
	}
	var users int64
	if _, err := tx.Exec(ctx, `LOCK TABLE roomspa.users IN SHARE MODE`); err != nil {
		return "", "", err
	}
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM roomspa.users`).Scan(&users); err != nil || users == 0 {
		return kind, comment, err
	}
	return "", "", refuse("roomspa.users holds %d users of its own: --apply puts a view on Django's users in its place and does not delete them. If they are from trying it out, delete them first: DELETE FROM roomspa.users",
		users)
}

// makeView replaces roomspa.users, with its grants, in one transaction.
func (a *Adoption) makeView(ctx context.Context) (said string, err error) {
	said = "view roomspa.users on " + a.src.name(usersTable)
	err = a.transaction(ctx, func(tx pgx.Tx) error {
		if err := a.hold(ctx, tx); err != nil {
			return err
		}
		kind, comment, err := usersNow(ctx, tx)
		if err != nil || comment == a.viewMark() {
			return err
		}
		rows, _ := tx.Query(ctx, usersGrants)
		grantees, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		drop := "DROP TABLE roomspa.users"
		if kind == "v" {
			drop = "DROP VIEW roomspa.users"
		}
		statements := []string{drop, a.src.sql(createView), "COMMENT ON VIEW roomspa.users IS " + literal(a.viewMark())}
		if len(grantees) > 0 {
			statements = append(statements, "GRANT SELECT ON roomspa.users TO "+strings.Join(grantees, ", "))
		}
		for _, s := range statements {
			if _, err := tx.Exec(ctx, s); err != nil {
				return err
			}
		}
		return nil
	})
	return said, err
}
