package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/roomspa/roomspa/internal/room"
)

type userUnreadCmd struct {
	databaseFlags
	User string `arg:"" name:"user" help:"Id, e-mail address or phone number."`
	JSON bool   `name:"json" env:"-" help:"Print one JSON object."`
}

// Help is shown by --help.
func (*userUnreadCmd) Help() string {
	return `Lists the conversations of a user, the newest first: the number of the last message, how far the user has received and read it,
and the unread messages, counted anew in Postgres. The total is what GET /api/unread/ answers. Counts end at 1,000.

Examples:
  roomspa user unread 42
  roomspa user unread ann@example.com --json`
}

// An unreadConversation is the state of one conversation of a user.
type unreadConversation struct {
	Conversation string      `json:"conversation_id"`
	Customer     room.UserID `json:"customer_id"`
	Therapist    room.UserID `json:"therapist_id"`
	LastSeq      int64       `json:"last_seq"`
	DeliveredSeq int64       `json:"delivered_seq"`
	ReadSeq      int64       `json:"read_seq"`
	Unread       int         `json:"unread"`
}

type unreadReport struct {
	User          room.UserID          `json:"user_id"`
	Unread        int                  `json:"unread"`
	Conversations []unreadConversation `json:"conversations"`
}

// Run shows the cursors and unread messages of a user.
func (c *userUnreadCmd) Run(ctx context.Context, std streams) error {
	db, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	u, err := db.FindUser(ctx, c.User)
	if errors.Is(err, room.ErrNotFound) {
		return fmt.Errorf("there is no user %s", c.User)
	}
	if err != nil {
		return err
	}
	report := unreadReport{User: u.ID, Conversations: []unreadConversation{}}
	if report.Unread, err = db.Unread(ctx, u.ID); err != nil {
		return err
	}
	var behind *room.Place
	for more := true; more; {
		var list []room.Summary
		if list, more, err = db.Summaries(ctx, u.ID, behind, 200, 1<<20); err != nil {
			return err
		}
		for i := range list {
			place := list[i].Place()
			behind = &place
			report.Conversations = append(report.Conversations, newUnreadConversation(&list[i]))
		}
	}
	if c.JSON {
		return printJSON(std.Out, report)
	}
	return report.writeText(std.Out)
}

func newUnreadConversation(s *room.Summary) unreadConversation {
	c := unreadConversation{
		Conversation: s.ID.String(), Customer: s.Room.Customer, Therapist: s.Room.Therapist,
		DeliveredSeq: s.Cursor.Delivered, ReadSeq: s.Cursor.Read, Unread: s.Unread,
	}
	if s.Last != nil {
		c.LastSeq = s.Last.Seq
	}
	return c
}

func (r *unreadReport) writeText(out io.Writer) error {
	var b strings.Builder
	for _, c := range r.Conversations {
		fmt.Fprintf(&b, "%s  customer %-6d therapist %-6d last %-6d delivered %-6d read %-6d unread %d\n",
			c.Conversation, c.Customer, c.Therapist, c.LastSeq, c.DeliveredSeq, c.ReadSeq, c.Unread)
	}
	fmt.Fprintf(&b, "user %d has %d unread in %d conversations\n", r.User, r.Unread, len(r.Conversations))
	_, err := io.WriteString(out, b.String())
	return err
}
