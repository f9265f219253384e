package adopt

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Tables holds the names of the predecessor's tables and columns. A table may be a view and
// may have a schema, as in public.app_user. The tags are those of the command's flags.
type Tables struct {
	Users        string `name:"users-table" default:"app_user" env:"-" help:"Table or view of the users."`
	UserID       string `name:"user-id" default:"id" env:"-" help:"Column of a user's id."`
	UserEmail    string `default:"email" env:"-" help:"Column of a user's e-mail address."`
	UserPhone    string `default:"phone" env:"-" help:"Column of a user's phone number; it may be missing."`
	UserRole     string `default:"role" env:"-" help:"Column of a user's role."`
	UserActive   string `default:"is_active" env:"-" help:"Column that says whether a user is active."`
	UserPassword string `default:"password" env:"-" help:"Column of a user's password hash."`
	UserJoined   string `default:"date_joined" env:"-" help:"Column of the time when a user registered; it may be missing."`

	Conversations         string `name:"conversations-table" default:"chat_conversation" env:"-" help:"Table of the conversations."`
	ConversationID        string `name:"conversation-id" default:"id" env:"-" help:"Column of a conversation's id."`
	ConversationCustomer  string `default:"customer_id" env:"-" help:"Column of a conversation's customer."`
	ConversationTherapist string `default:"therapist_id" env:"-" help:"Column of a conversation's therapist."`
	ConversationCreated   string `default:"created_at" env:"-" help:"Column of the time when a conversation began; it may be missing."`

	Messages            string `name:"messages-table" default:"chat_message" env:"-" help:"Table of the messages."`
	MessageID           string `name:"message-id" default:"id" env:"-" help:"Column of a message's id."`
	MessageConversation string `default:"conversation_id" env:"-" help:"Column of a message's conversation."`
	MessageSender       string `default:"sender_id" env:"-" help:"Column of a message's sender."`
	MessageText         string `default:"message" env:"-" help:"Column of a message's text."`
	MessageCreated      string `default:"created_at" env:"-" help:"Column of the time when a message was sent."`
}

// selectColumns returns the columns of a table, or no rows if the table does not exist.
const selectColumns = `
SELECT a.attname FROM pg_attribute a
WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped`

// check returns an error if a table or a required column does not exist. It returns the
// optional columns that do not exist.
func (t *Tables) check(ctx context.Context, tx pgx.Tx, noUsers bool) (missing []string, err error) {
	tables := []struct {
		flag, name         string
		required, optional []string
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
		rows, _ := tx.Query(ctx, selectColumns, quote(table.name))
		columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
		switch {
		case err != nil:
			return nil, err
		case len(columns) == 0:
			return nil, fmt.Errorf("there is no table %s: name it with --%s", table.name, table.flag)
		}
		for _, column := range table.required {
			if !slices.Contains(columns, column) {
				return nil, fmt.Errorf("the table %s has no column %q: name it with a flag, or name a view with --%s; it has %s",
					table.name, column, table.flag, strings.Join(columns, ", "))
			}
		}
		for _, column := range table.optional {
			if column != "" && !slices.Contains(columns, column) {
				missing = append(missing, table.name+"."+column)
			}
		}
	}
	return missing, nil
}

// clearMissing clears the names of columns that do not exist.
func (t *Tables) clearMissing(missing []string) {
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

// quote returns a quoted SQL identifier.
func quote(name string) string { return pgx.Identifier(strings.Split(name, ".")).Sanitize() }

// column returns a column of a table's alias, or NULL if the name is empty.
func column(alias, name string) string {
	if name == "" {
		return "NULL"
	}
	return alias + "." + pgx.Identifier{name}.Sanitize()
}
