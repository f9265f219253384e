package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// needs are the privileges of a replica in the schema roomspa, by relation. Commands such as
// migrate, user and retention need more.
var needs = []struct{ relation, privileges string }{
	{"compatibility", "SELECT"},
	{"goose_db_version", "SELECT"},
	{"deployment", "SELECT, UPDATE"},
	{"master_keys", "SELECT, INSERT, DELETE"},
	{"replicas", "SELECT, INSERT, UPDATE, DELETE"},
	{"users", "SELECT, UPDATE"}, // a view is read only
	{"user_facts", "SELECT, INSERT, UPDATE"},
	{"user_changes", "SELECT, UPDATE, DELETE"}, // FOR UPDATE needs UPDATE
	{"refresh_families", "SELECT, INSERT, UPDATE, DELETE"},
	{"conversations", "SELECT, INSERT, UPDATE"},
	{"messages", "SELECT, INSERT"},
	{"erasures", "SELECT"},
	{"cursors", "SELECT, INSERT, UPDATE"},
	{"blocks", "SELECT, INSERT, UPDATE"},
	{"reports", "SELECT, INSERT"},
	{"conversation_numbers", "USAGE"},
	{"message_numbers", "USAGE"},
}

// lackingPrivileges takes relations and privileges. It reads the catalog by names, since a role
// without USAGE on the schema cannot look names up in it.
const lackingPrivileges = `
SELECT n.relation, n.privilege, c.oid IS NULL, coalesce(c.relkind = 'S', false)
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS n (relation, privilege, place)
LEFT JOIN pg_catalog.pg_class c ON c.relname = n.relation
	AND c.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'roomspa')
WHERE c.oid IS NULL OR CASE
	WHEN c.relkind IN ('v', 'm', 'f') AND n.privilege <> 'SELECT' THEN false
	WHEN c.relkind = 'S' THEN NOT pg_catalog.has_sequence_privilege(c.oid, n.privilege)
	ELSE NOT pg_catalog.has_table_privilege(c.oid, n.privilege)
END
ORDER BY n.place`

const roleAndUsage = `
SELECT pg_catalog.quote_ident(current_user), coalesce((
	SELECT pg_catalog.has_schema_privilege(oid, 'USAGE') FROM pg_catalog.pg_namespace WHERE nspname = 'roomspa'), false)`

// CheckPrivileges checks that the role has every privilege that a replica uses. The error has the
// GRANT statements that are missing.
func (db *DB) CheckPrivileges(ctx context.Context) (detail string, err error) {
	var relations, privileges []string
	for _, n := range needs {
		for p := range strings.SplitSeq(n.privileges, ", ") {
			relations, privileges = append(relations, n.relation), append(privileges, p)
		}
	}
	err = db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		var role string
		var usage bool
		if err := conn.QueryRow(ctx, roleAndUsage).Scan(&role, &usage); err != nil {
			return err
		}
		lacking := &grants{role: role}
		if !usage {
			lacking.statements = append(lacking.statements, "GRANT USAGE ON SCHEMA roomspa TO "+role)
		}
		rows, _ := conn.Query(ctx, lackingPrivileges, relations, privileges)
		var relation, privilege string
		var gone, sequence bool
		if _, err := pgx.ForEachRow(rows, []any{&relation, &privilege, &gone, &sequence}, func() error {
			lacking.add(relation, privilege, gone, sequence)
			return nil
		}); err != nil {
			return err
		}
		detail = fmt.Sprintf("%s has all %d privileges on %d tables and sequences", role, len(privileges), len(needs))
		return lacking.failure()
	})
	if err != nil {
		return "", fmt.Errorf("look at the privileges: %w", err)
	}
	return detail, nil
}

// grants collects what a role lacks.
type grants struct {
	role       string
	statements []string
	order      []string            // of objects
	of         map[string][]string // privileges, by object
	gone       []string            // relations that do not exist
}

func (g *grants) add(relation, privilege string, gone, sequence bool) {
	if gone {
		if !slices.Contains(g.gone, relation) {
			g.gone = append(g.gone, relation)
		}
		return
	}
	object := "roomspa." + relation
	if sequence {
		object = "SEQUENCE " + object
	}
	if g.of == nil {
		g.of = map[string][]string{}
	}
	if g.of[object] == nil {
		g.order = append(g.order, object)
	}
	g.of[object] = append(g.of[object], privilege)
}

// failure returns what is missing, or nil.
func (g *grants) failure() error {
	if len(g.gone) == len(needs) {
		return newFailure(causeSchemaMissing, "")
	}
	if len(g.gone) > 0 {
		return newFailure("schema_damaged", "there is no roomspa."+strings.Join(g.gone, ", no roomspa."))
	}
	for _, object := range g.order {
		g.statements = append(g.statements, "GRANT "+strings.Join(g.of[object], ", ")+" ON "+object+" TO "+g.role)
	}
	if len(g.statements) == 0 {
		return nil
	}
	return newFailure(causePermission, "the owner of the schema must run: "+strings.Join(g.statements, "; "))
}
