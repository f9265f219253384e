package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/postgres"
)

type retentionCmd struct {
	databaseFlags
	OlderThan time.Duration `required:"" placeholder:"DURATION" help:"Delete messages that are older, for example 720h for 30 days. At least 24h."`
	JSON      bool          `name:"json" env:"-" help:"Print one JSON object."`
}

// Help is shown by --help.
func (*retentionCmd) Help() string {
	return `Deletes old messages. The last message of a conversation is only emptied, so that the next one continues the numbers. A
conversation with an open report keeps all its messages until the report is closed. Replicas may run meanwhile: the command
uses short transactions, and open sockets do not notice it. A client that resumes from a deleted message gets what is left,
and is told the first number. If the command is interrupted, run it again. Postgres reuses the space after its next VACUUM;
backups are not changed.

Examples:
  roomspa retention --older-than 720h`
}

// Run deletes old messages.
func (c *retentionCmd) Run(ctx context.Context, std streams) error {
	if c.OlderThan < postgres.MinRetention {
		return &exitError{2, fmt.Errorf("--older-than must be %s or more", postgres.MinRetention)}
	}
	o := c.options()
	o.StatementTimeout = time.Minute // a batch of messages may have to be read from disk
	db, err := postgres.Open(ctx, o, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		return &exitError{2, fmt.Errorf("--database-url: %w", err)}
	}
	defer db.Close()
	done, err := db.DeleteMessages(ctx, c.OlderThan, func(r postgres.Retained) {
		_, _ = fmt.Fprintf(std.Err, "conversations %d, deleted messages %d\n", r.Conversations, r.Deleted)
	})
	if err != nil {
		return errors.Join(err, fmt.Errorf("%d messages are deleted, %d emptied: run the command again", done.Deleted, done.Emptied))
	}
	if c.JSON {
		return printJSON(std.Out, map[string]any{
			"before": done.Before, "conversations": done.Conversations, "deleted": done.Deleted, "emptied": done.Emptied, "kept_for_reports": done.Reported,
		})
	}
	_, err = fmt.Fprintf(std.Out, "messages of before %s UTC: deleted %d, emptied %d; conversations: %d, of which %d keep all messages because of an open report\n",
		done.Before.Format(time.DateTime), done.Deleted, done.Emptied, done.Conversations, done.Reported)
	return err
}
