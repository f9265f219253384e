package adopt

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// The predecessor's tables.
const (
	usersTable         = "User_userprofile"
	conversationsTable = "chat_conversation"
	participantsTable  = "chat_conversation_participants"
	messagesTable      = "chat_message"
	outstandingTable   = "token_blacklist_outstandingtoken"
	blacklistedTable   = "token_blacklist_blacklistedtoken"
)

// chatTables are those that --return writes.
var chatTables = []string{conversationsTable, participantsTable, messagesTable}

// A kind says what a column has to hold.
type kind int

const (
	text kind = iota
	key       // a whole number
	flag
	moment
	document // JSON
)

// A need is a column that the predecessor's code uses.
type need struct {
	name     string
	kind     kind
	required bool
}

// needs lists the columns by table.
var needs = map[string][]need{
	usersTable: {
		{"id", key, true},
		{"role", text, true},
		{"password", text, false},
		{"name", text, false},
		{"email", text, false},
		{"phone_number", text, false},
		{"is_active", flag, false},
		{"is_staff", flag, false},
		{"is_superuser", flag, false},
		{"date_created", moment, false},
	},
	conversationsTable: {
		{"id", key, true},
		{"updated_at", moment, false},
		{"created_at", moment, false},
		{"is_active", flag, false},
		{"title", text, false},
		{"last_message_id", key, false},
	},
	participantsTable: {{"id", key, false}, {"conversation_id", key, true}, {"userprofile_id", key, true}},
	messagesTable: {
		{"id", key, true},
		{"content", text, true},
		{"sender_id", key, true},
		{"receiver_id", key, false},
		{"conversation_id", key, false},
		{"created_at", moment, true},
		{"is_read", flag, false},
		{"read_at", moment, false},
		{"message_type", text, false},
		{"metadata", document, false},
	},
	outstandingTable: {
		{"id", key, true}, {"jti", text, true}, {"user_id", key, false}, {"expires_at", moment, true}, {"created_at", moment, false},
	},
	blacklistedTable: {{"token_id", key, true}, {"blacklisted_at", moment, false}},
}

// A column is a column of the live schema.
type column struct {
	Type     string // as format_type has it, without a length
	NotNull  bool
	Default  bool // has a default, is an identity or is generated
	Identity bool
	Length   int // of varchar(n); 0 without a limit
}

// A table is a table of the live schema.
type table struct {
	columns map[string]column
	oid     uint32
	keys    int     // foreign keys
	rows    float64 // the planner's estimate
}

// findSchemas returns the schemas that hold tables of these names.
const findSchemas = `
SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = ANY($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname <> 'roomspa'
GROUP BY n.nspname HAVING count(*) = cardinality($1) ORDER BY n.nspname`

const readTables = `
SELECT c.relname, c.oid, (SELECT count(*) FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f'), c.reltuples
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = ANY($2)`

const readColumns = `
SELECT c.relname, a.attname, pg_catalog.format_type(a.atttypid, NULL), a.attnotnull,
	a.atthasdef OR a.attidentity <> '' OR a.attgenerated <> '', a.attidentity <> '',
	CASE WHEN a.atttypid IN ('varchar'::regtype, 'bpchar'::regtype) AND a.atttypmod > 4 THEN a.atttypmod - 4 ELSE 0 END
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = ANY($2) AND a.attnum > 0 AND NOT a.attisdropped`

// findSchema returns the schema that holds the predecessor's tables.
func findSchema(ctx context.Context, tx pgx.Tx) (string, error) {
	wanted := append([]string{usersTable}, chatTables...)
	rows, _ := tx.Query(ctx, findSchemas, wanted)
	schemas, err := pgx.CollectRows(rows, pgx.RowTo[string])
	switch {
	case err != nil:
		return "", fmt.Errorf("look for Django's tables: %w", err)
	case len(schemas) == 0:
		return "", refuse("no schema of this database holds the tables %s: roomspa and Django share one database, so give its URL as --database-url, or name the schema with --django-schema",
			`"`+strings.Join(wanted, `", "`)+`"`)
	case len(schemas) > 1:
		return "", refuse("Django's tables are in several schemas (%s): name one with --django-schema", strings.Join(schemas, ", "))
	}
	return schemas[0], nil
}

// readSchema reads the tables as they are live.
func readSchema(ctx context.Context, tx pgx.Tx, schema string) (map[string]*table, error) {
	names := make([]string, 0, len(needs))
	for name := range needs {
		names = append(names, name)
	}
	tables := map[string]*table{}
	var name, columnName string
	var t table
	rows, _ := tx.Query(ctx, readTables, schema, names)
	_, err := pgx.ForEachRow(rows, []any{&name, &t.oid, &t.keys, &t.rows}, func() error {
		found := t
		found.columns = map[string]column{}
		tables[name] = &found
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read Django's schema: %w", err)
	}
	var c column
	rows, _ = tx.Query(ctx, readColumns, schema, names)
	_, err = pgx.ForEachRow(rows, []any{&name, &columnName, &c.Type, &c.NotNull, &c.Default, &c.Identity, &c.Length}, func() error {
		tables[name].columns[columnName] = c
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read Django's schema: %w", err)
	}
	for _, wanted := range append([]string{usersTable}, chatTables...) {
		if tables[wanted] == nil {
			return nil, refuse("the schema %s has no table %q: name Django's schema with --django-schema", schema, wanted)
		}
	}
	return tables, nil
}

// unfillable returns the columns of a table that a program must fill and does not know.
func unfillable(name string, t *table) (names []string) {
	for column, c := range t.columns {
		known := slices.ContainsFunc(needs[name], func(n need) bool { return n.name == column })
		if !known && c.NotNull && !c.Default {
			names = append(names, column)
		}
	}
	slices.Sort(names)
	return names
}
