package adopt

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// A Grant is a privilege that the role of this command needs.
type Grant struct {
	SQL    string `json:"sql"`
	For    string `json:"for"` // migrate up, --apply, the lock at its end, or --return
	Exists bool   `json:"exists"`
}

// grants returns the privileges that are needed in the database and in Django's schema. None needs a superuser: the
// owner of the tables can give them.
func (a *Adoption) grants(ctx context.Context, tx pgx.Tx) (role string, grants []Grant, err error) {
	if err := tx.QueryRow(ctx, `SELECT quote_ident(current_user)`).Scan(&role); err != nil {
		return "", nil, err
	}
	var database string
	var creates bool
	err = tx.QueryRow(ctx, `SELECT quote_ident(current_database()), has_database_privilege(current_database(), 'CREATE') OR EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'roomspa')`).
		Scan(&database, &creates)
	if err != nil {
		return "", nil, err
	}
	grants = append(grants, Grant{SQL: fmt.Sprintf("GRANT CREATE ON DATABASE %s TO %s", database, role), For: "migrate up, which makes the schema roomspa", Exists: creates})
	usage := Grant{SQL: fmt.Sprintf("GRANT USAGE ON SCHEMA %s TO %s", pgx.Identifier{a.src.schema}.Sanitize(), role), For: "--apply"}
	if err := tx.QueryRow(ctx, `SELECT has_schema_privilege($1, 'USAGE')`, a.src.schema).Scan(&usage.Exists); err != nil {
		return "", nil, err
	}
	grants = append(grants, usage)
	add := func(what, object, on, privileges string) error {
		g := Grant{SQL: fmt.Sprintf("GRANT %s ON %s TO %s", privileges, strings.TrimSpace(object+" "+on), role), For: what, Exists: usage.Exists}
		check := map[string]string{"SEQUENCE": "has_sequence_privilege", "": "has_table_privilege"}[object]
		for privilege := range strings.SplitSeq(privileges, ", ") {
			var has bool
			if !usage.Exists {
				break // the name of the table cannot even be resolved
			}
			if err := tx.QueryRow(ctx, "SELECT "+check+"($1, $2)", on, privilege).Scan(&has); err != nil {
				return err
			}
			g.Exists = g.Exists && has
		}
		grants = append(grants, g)
		return nil
	}
	for _, table := range []string{usersTable, conversationsTable, participantsTable, messagesTable, outstandingTable, blacklistedTable} {
		if a.src.tables[table] == nil {
			continue
		}
		if err := add("--apply", "", a.src.name(table), "SELECT"); err != nil {
			return "", nil, err
		}
	}
	for _, table := range chatTables {
		if err := add("--return, and --apply to see whether somebody writes", "", a.src.name(table), "INSERT, UPDATE"); err != nil {
			return "", nil, err
		}
		if !usage.Exists {
			continue // the name of the sequence cannot be found
		}
		sequence, err := a.sequence(ctx, tx, table)
		if err != nil {
			return "", nil, err
		}
		if sequence != "" {
			if err := add("--return", "SEQUENCE", sequence, "USAGE, SELECT, UPDATE"); err != nil {
				return "", nil, err
			}
		}
	}
	return role, grants, nil
}

// missing returns the grants that are missing for an operation.
func missing(grants []Grant, operation string) (sql []string) {
	for _, g := range grants {
		if !g.Exists && strings.HasPrefix(g.For, operation) {
			sql = append(sql, g.SQL)
		}
	}
	return sql
}

// require refuses if a privilege is missing.
func (a *Adoption) require(ctx context.Context, operation string) error {
	var lacking []string
	err := a.transaction(ctx, func(tx pgx.Tx) error {
		_, grants, err := a.grants(ctx, tx)
		lacking = missing(grants, operation)
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("look at the privileges: %w", a.explain(err))
	case len(lacking) > 0:
		return refuse("privileges are missing; let the owner of Django's tables run:\n  %s;", strings.Join(lacking, ";\n  "))
	}
	return nil
}
