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

	"github.com/roomspa/roomspa/internal/tool/judge"
)

const selectConversations = `SELECT id::text, customer_id, therapist_id FROM roomspa.conversations ORDER BY customer_id, therapist_id`

const selectMessages = `
SELECT conversation_id::text, seq, id::text, sender_id, coalesce(client_message_id, ''), body
FROM roomspa.messages ORDER BY conversation_id, seq`

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
	return writeLines(filepath.Join(dir, judge.MessagesFile), func(write func(any) error) error {
		var m judge.Message
		var body string
		rows, _ := conn.Query(ctx, selectMessages)
		_, err := pgx.ForEachRow(rows, []any{&m.Conversation, &m.Seq, &m.ID, &m.Sender, &m.ClientMessageID, &body}, func() error {
			m.Text = judge.Hash(body)
			return write(m)
		})
		return err
	})
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
