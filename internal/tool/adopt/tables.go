package adopt

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Tables names the predecessor's tables and columns. A table may be a view, and may
// be written with its schema, as in public.app_user.
type Tables struct {
	Users        string
	UserID       string
	UserEmail    string
	UserPhone    string // may be missing, like the next
	UserJoined   string
	UserRole     string
	UserActive   string
	UserPassword string

	Conversations         string
	ConversationID        string
	ConversationCustomer  string
	ConversationTherapist string
	ConversationCreated   string

	Messages            string
	MessageID           string
	MessageConversation string
	MessageSender       string
	MessageText         string
	MessageCreated      string
}

// columnsOf lists a table's columns; none means that there is no such table.
const columnsOf = `
SELECT a.attname FROM pg_attribute a
WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped`

// check sees to it that all is there which is needed, and returns which of the
// optional columns are not.
func (t *Tables) check(ctx context.Context, tx pgx.Tx, noUsers bool) (missing []string, err error) {
	tables := []struct {
		flag, name       string
		needed, optional []string
	}{
		{"users-table", t.Users, []string{t.UserID, t.UserRole}, nil},
		{"users-table", t.Users, []string{t.UserEmail, t.UserActive, t.UserPassword}, []string{t.UserPhone, t.UserJoined}},
		{"conversations-table", t.Conversations, []string{t.ConversationID, t.ConversationCustomer, t.ConversationTherapist}, []string{t.ConversationCreated}},
		{"messages-table", t.Messages, []string{t.MessageID, t.MessageConversation, t.MessageSender, t.MessageText, t.MessageCreated}, nil},
	}
	if noUsers {
		tables = append(tables[:1], tables[2:]...)
	}
	for _, table := range tables {
		rows, _ := tx.Query(ctx, columnsOf, quote(table.name))
		there, err := pgx.CollectRows(rows, pgx.RowTo[string])
		switch {
		case err != nil:
			return nil, err
		case len(there) == 0:
			return nil, fmt.Errorf("there is no table %s: name it with --%s", table.name, table.flag)
		}
		for _, column := range table.needed {
			if !slices.Contains(there, column) {
				return nil, fmt.Errorf("the table %s has no column %q: name it with a flag, or name a view with --%s; it has %s",
					table.name, column, table.flag, strings.Join(there, ", "))
			}
		}
		for _, column := range table.optional {
			if column != "" && !slices.Contains(there, column) {
				missing = append(missing, table.name+"."+column)
			}
		}
	}
	return missing, nil
}

// forget takes out a column that is not there.
func (t *Tables) forget(missing []string) {
	for _, m := range missing {
		for _, c := range []struct {
			table  string
			column *string
		}{{t.Users, &t.UserPhone}, {t.Users, &t.UserJoined}, {t.Conversations, &t.ConversationCreated}} {
			if m == c.table+"."+*c.column {
				*c.column = ""
			}
		}
	}
}

// quote makes an identifier that SQL takes as it is written.
func quote(name string) string { return pgx.Identifier(strings.Split(name, ".")).Sanitize() }

// column is a column of a table's alias, or null where there is none.
func column(alias, name string) string {
	if name == "" {
		return "NULL"
	}
	return alias + "." + pgx.Identifier{name}.Sanitize()
}
