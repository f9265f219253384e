package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

type reportCmd struct {
	List  reportListCmd  `cmd:"" help:"List the open reports, the oldest first."`
	Show  reportShowCmd  `cmd:"" help:"Show a report, and what was said around it."`
	Close reportCloseCmd `cmd:"" help:"Close a report."`
}

type reportListCmd struct {
	databaseFlags
	All   bool `env:"-" help:"List all reports, the newest first."`
	Limit int  `default:"100" env:"-" help:"Number of reports to list."`
	JSON  bool `name:"json" env:"-" help:"Print one JSON object."`
}

type reportShowCmd struct {
	databaseFlags
	ID   int64 `arg:"" help:"Number of the report."`
	JSON bool  `name:"json" env:"-" help:"Print one JSON object."`
}

type reportCloseCmd struct {
	databaseFlags
	ID         int64  `arg:"" help:"Number of the report."`
	Resolution string `required:"" placeholder:"TEXT" env:"-" help:"What was decided, up to 1,000 characters."`
}

// Help is shown by --help.
func (*reportListCmd) Help() string {
	return `Lists what customers and therapists have reported with POST /api/reports/. A report is open until you close it.

Examples:
  roomspa report list
  roomspa report list --all --limit 20`
}

// Help is shown by --help.
func (*reportShowCmd) Help() string {
	return `Shows a report with the reported message and up to 10 messages before it, or the last 10 messages if the whole conversation
was reported. You read what users wrote to each other: only do so to decide on the report.

Examples:
  roomspa report show 17`
}

// Help is shown by --help.
func (*reportCloseCmd) Help() string {
	return `Closes a report and stores what was decided. It deactivates nobody: see roomspa user deactivate. Until a report is closed, the
messages of its conversation are not deleted by roomspa retention. A closed report can be closed again with another resolution.

Examples:
  roomspa report close 17 --resolution "warned the therapist"`
}

// Run lists reports.
func (c *reportListCmd) Run(ctx context.Context, std streams) error {
	if c.Limit < 1 {
		return &exitError{2, errors.New("--limit must be 1 or more")}
	}
	db, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	list, err := db.Reports(ctx, c.All, c.Limit)
	if err != nil {
		return err
	}
	if c.JSON {
		reports := make([]map[string]any, len(list))
		for i := range list {
			reports[i] = reportJSON(&list[i])
		}
		return printJSON(std.Out, map[string]any{"reports": reports})
	}
	if len(list) == 0 {
		_, err = fmt.Fprintln(std.Out, "no reports")
		return err
	}
	for i := range list {
		r := &list[i]
		if _, err := fmt.Fprintf(std.Out, "%-6d %-8s %s  user %-8d %s %s  %s\n", r.ID, reportState(r), r.CreatedAt.Format(time.DateTime),
			r.Reporter, r.Conversation, reportedPart(r), logging.Printable(r.Reason, " ")); err != nil {
			return err
		}
	}
	return nil
}

// Run shows a report.
func (c *reportShowCmd) Run(ctx context.Context, std streams) error {
	db, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	r, err := findReport(ctx, db, c.ID)
	if err != nil {
		return err
	}
	in, err := db.RoomOf(ctx, r.Conversation)
	if err != nil {
		return err
	}
	before := int64(0) // the newest ones
	if r.Seq > 0 {
		before = r.Seq + 1
	}
	messages, _, err := db.Before(ctx, r.Conversation, before, 11, 1<<20)
	if err != nil {
		return err
	}
	if c.JSON {
		shown := make([]map[string]any, len(messages))
		for i, m := range messages {
			shown[i] = map[string]any{"seq": m.Seq, "sender_id": m.Sender, "timestamp": m.At, "message": m.Text}
		}
		report := reportJSON(&r)
		report["customer_id"], report["therapist_id"], report["messages"] = in.Customer, in.Therapist, shown
		return printJSON(std.Out, report)
	}
	return writeReport(std.Out, &r, in, messages)
}

// Run closes a report.
func (c *reportCloseCmd) Run(ctx context.Context, std streams) error {
	if c.Resolution = strings.TrimSpace(c.Resolution); c.Resolution == "" || utf8.RuneCountInString(c.Resolution) > 1000 {
		return &exitError{2, errors.New("--resolution must have 1 to 1,000 characters")}
	}
	db, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	err = db.CloseReport(ctx, c.ID, c.Resolution)
	if errors.Is(err, room.ErrNotFound) {
		return fmt.Errorf("there is no report %d", c.ID)
	}
	if err == nil {
		_, err = fmt.Fprintf(std.Out, "closed: report %d\n", c.ID)
	}
	return err
}

func findReport(ctx context.Context, db *postgres.DB, id int64) (room.Report, error) {
	r, err := db.Report(ctx, id)
	if errors.Is(err, room.ErrNotFound) {
		return r, fmt.Errorf("there is no report %d", id)
	}
	return r, err
}

func reportState(r *room.Report) string {
	if r.ClosedAt.IsZero() {
		return "open"
	}
	return "closed"
}

func reportedPart(r *room.Report) string {
	if r.Seq == 0 {
		return "all"
	}
	return fmt.Sprintf("#%d", r.Seq)
}

func reportJSON(r *room.Report) map[string]any {
	j := map[string]any{
		"id": r.ID, "state": reportState(r), "reporter_id": r.Reporter, "conversation_id": r.Conversation.String(),
		"reason": r.Reason, "text": r.Text, "created_at": r.CreatedAt,
	}
	if r.Seq > 0 {
		j["seq"] = r.Seq
	}
	if !r.ClosedAt.IsZero() {
		j["closed_at"], j["resolution"] = r.ClosedAt, r.Resolution
	}
	return j
}

func writeReport(out io.Writer, r *room.Report, in room.Room, messages []room.Message) error {
	var b strings.Builder
	fmt.Fprintf(&b, "report %d, %s, made %s UTC by user %d\n", r.ID, reportState(r), r.CreatedAt.Format(time.DateTime), r.Reporter)
	fmt.Fprintf(&b, "conversation %s of customer %d and therapist %d, message: %s\n", r.Conversation, in.Customer, in.Therapist, reportedPart(r))
	fmt.Fprintf(&b, "reason: %s\n", logging.Printable(r.Reason, " "))
	if r.Text != "" {
		fmt.Fprintf(&b, "text: %s\n", logging.Printable(r.Text, " "))
	}
	if !r.ClosedAt.IsZero() {
		fmt.Fprintf(&b, "closed %s UTC: %s\n", r.ClosedAt.Format(time.DateTime), logging.Printable(r.Resolution, " "))
	}
	b.WriteString("\n")
	for _, m := range messages {
		mark, text := " ", logging.Printable(m.Text, " ")
		if m.Seq == r.Seq {
			mark = ">"
		}
		if text == "" {
			text = "(erased)"
		}
		fmt.Fprintf(&b, "%s #%d %s user %d: %s\n", mark, m.Seq, m.At.Format(time.DateTime), m.Sender, text)
	}
	_, err := io.WriteString(out, b.String())
	return err
}
