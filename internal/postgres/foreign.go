package postgres

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// triggerFunctions are those that the migrations make, in the schema roomspa.
var triggerFunctions = []string{"note_user_change", "note_fact_change", "lower_cursors", "forget_cursors"}

// contextFunction finds a function in the CONTEXT of an error. Its schema is missing if it is on
// the search path.
var contextFunction = regexp.MustCompile(`(?m)^(?:PL/)?[A-Za-z/]+ (?:function|Funktion) »?"?((?:[^\s"().«]+\.)?[^\s"().«]+)(?:\(|"|«)`)

// foreignObject returns the table or the function that is not roomspa's own and that an error
// comes from, or "". The statements of roomspa use no other tables, so it was a trigger or a rule.
func foreignObject(pg *pgconn.PgError) string {
	var found []string
	for _, m := range contextFunction.FindAllStringSubmatch(pg.Where, -1) {
		schema, name, qualified := strings.Cut(m[1], ".")
		if qualified && schema == "roomspa" || !qualified && slices.Contains(triggerFunctions, m[1]) {
			continue
		}
		if !qualified {
			name = schema
		}
		if object := "function " + m[1]; name != "" && !slices.Contains(found, object) {
			found = append(found, object)
		}
	}
	if pg.SchemaName != "" && pg.SchemaName != "roomspa" && pg.TableName != "" {
		found = append(found, "table "+pg.SchemaName+"."+pg.TableName)
	}
	return strings.Join(found, ", ")
}

// mayBeForeign are causes that mean something else if the error comes from a table or a function
// that is not roomspa's own.
var mayBeForeign = []string{causeOther, causeRejected, causeSchemaMissing, "schema_damaged", causePermission, causeRowSecurity}

// foreignFailure returns the failure of a trigger or a rule that is not roomspa's own, or f. If the
// server rejects the values of a row, others may pass.
func foreignFailure(f *failure, pg *pgconn.PgError) *failure {
	if !slices.Contains(mayBeForeign, f.cause) {
		return f
	}
	if object := foreignObject(pg); object != "" {
		return &failure{causeForeign, f.detail + "; in " + object, f.wraps}
	}
	return f
}

// foreignTriggers takes the names of roomspa's own trigger functions. It returns the enabled
// triggers and the rules on tables of roomspa that no migration makes, with the statement that
// disables each.
const foreignTriggers = `
SELECT format('trigger %I on roomspa.%I, which calls %s', t.tgname, c.relname, t.tgfoid::regproc),
	format('ALTER TABLE roomspa.%I DISABLE TRIGGER %I', c.relname, t.tgname)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D'
JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
WHERE c.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'roomspa')
	AND NOT (p.pronamespace = c.relnamespace AND p.proname = ANY ($1::text[]))
UNION ALL
SELECT format('rule %I on roomspa.%I', r.rulename, c.relname), format('DROP RULE %I ON roomspa.%I', r.rulename, c.relname)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_rewrite r ON r.ev_class = c.oid AND r.rulename <> '_RETURN' AND r.ev_enabled <> 'D'
WHERE c.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = 'roomspa')
ORDER BY 1`

// foreignWarnings returns a warning for each trigger and rule that is not roomspa's own.
func foreignWarnings(ctx context.Context, conn *pgx.Conn) (all []string, err error) {
	rows, _ := conn.Query(ctx, foreignTriggers, triggerFunctions)
	var what, undo string
	_, err = pgx.ForEachRow(rows, []any{&what, &undo}, func() error {
		all = append(all, "there is a "+what+" that is not roomspa's own: if it fails, so do the statements of users. To switch it off: "+undo)
		return nil
	})
	return all, err //nolint:wrapcheck // the caller translates it
}
