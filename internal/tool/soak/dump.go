package soak

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/tool/judge"
)

const selectConversations = `SELECT id::text, customer_id, therapist_id FROM roomspa.conversations ORDER BY customer_id, therapist_id`

const selectMessages = `
SELECT conversation_id::text, seq, id::text, sender_id, coalesce(client_message_id, ''), body, coalesce(number, 0)
FROM roomspa.messages ORDER BY conversation_id, seq`

const selectLast = `
SELECT DISTINCT ON (c.id) c.customer_id, m.seq, coalesce(m.number, 0)
FROM roomspa.conversations c JOIN roomspa.messages m ON m.conversation_id = c.id
ORDER BY c.id, m.seq DESC`

const selectCursors = `
SELECT c.id::text, u.id, coalesce(k.delivered_seq, 0), coalesce(k.read_seq, 0), (
	SELECT least(count(*), 1000) FROM roomspa.messages m
	WHERE m.conversation_id = c.id AND m.seq > coalesce(k.read_seq, 0) AND m.sender_id <> u.id AND m.erased_at IS NULL
)
FROM roomspa.conversations c
CROSS JOIN LATERAL (VALUES (c.customer_id), (c.therapist_id)) u (id)
LEFT JOIN roomspa.cursors k ON k.conversation_id = c.id AND k.user_id = u.id
ORDER BY c.id, u.id`

// Dump writes the content of Postgres for the judge. It uses statements of its own, since
// the code under test might be wrong in the same way twice.
func Dump(ctx context.Context, url, dir string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("dump the messages: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = writeLines(filepath.Join(dir, judge.ConversationsFile), func(write func(any) error) error {
		var c judge.Conversation
		rows, _ := conn.Query(ctx, selectConversations)
		_, err := pgx.ForEachRow(rows, []any{&c.ID, &c.Customer, &c.Therapist}, func() error { return write(c) })
		return err
	})
	if err != nil {
		return err
	}
	err = writeLines(filepath.Join(dir, judge.CursorsFile), func(write func(any) error) error {
		return eachCursor(ctx, conn, func(c judge.Cursor) error { return write(c) })
	})
	if err != nil {
		return err
	}
	return writeLines(filepath.Join(dir, judge.MessagesFile), func(write func(any) error) error {
		var m judge.Message
		var body string
		rows, _ := conn.Query(ctx, selectMessages)
		_, err := pgx.ForEachRow(rows, []any{&m.Conversation, &m.Seq, &m.ID, &m.Sender, &m.ClientMessageID, &body, &m.Number}, func() error {
			m.Text = judge.Hash(body)
			return write(m)
		})
		return err
	})
}

// eachCursor calls f for both sides of each conversation.
func eachCursor(ctx context.Context, conn *pgx.Conn, f func(judge.Cursor) error) error {
	var c judge.Cursor
	rows, _ := conn.Query(ctx, selectCursors)
	_, err := pgx.ForEachRow(rows, []any{&c.Conversation, &c.User, &c.Delivered, &c.Read, &c.Unread}, func() error { return f(c) })
	return err //nolint:wrapcheck // the caller names the operation
}

// stored is what Postgres holds. In a run each user has one conversation.
type stored struct {
	cursors map[int64]judge.Cursor // by user
	last    map[room.UserID]last   // by customer
}

// A last is the last message of a conversation.
type last struct{ seq, number int64 }

func readStored(ctx context.Context, url string) (stored, error) {
	s := stored{map[int64]judge.Cursor{}, map[room.UserID]last{}}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return s, fmt.Errorf("read what is stored: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = eachCursor(ctx, conn, func(c judge.Cursor) error { s.cursors[c.User] = c; return nil })
	if err == nil {
		var customer room.UserID
		var l last
		rows, _ := conn.Query(ctx, selectLast)
		_, err = pgx.ForEachRow(rows, []any{&customer, &l.seq, &l.number}, func() error { s.last[customer] = l; return nil })
	}
	if err != nil {
		return s, fmt.Errorf("read what is stored: %w", err)
	}
	return s, nil
}

// writeLines creates a file of one JSON object per line.
func writeLines(path string, fill func(write func(any) error) error) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	out := bufio.NewWriter(file)
	err = errors.Join(fill(json.NewEncoder(out).Encode), out.Flush(), file.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return nil
}

func writeJSON(path string, v any) error {
	return writeLines(path, func(write func(any) error) error { return write(v) })
}
