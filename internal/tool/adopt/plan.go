package adopt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/logging"
)

// A Plan is what --plan prints.
type Plan struct {
	Schema   string    `json:"schema"` // of Django's tables
	Role     string    `json:"role"`   // of this command
	Counts   []Count   `json:"counts"`
	Notes    []string  `json:"notes"`    // about the live schema
	Refusals []string  `json:"refusals"` // why --apply would refuse
	Findings []Finding `json:"findings"`
	Grants   []Grant   `json:"grants"`
	Messages int64     `json:"messages"` // to copy
}

// A Count is the number of rows of one of Django's tables.
type Count struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
}

// Plan reads Django's tables and says what Apply would do. It writes nothing, and does not need
// roomspa's schema.
func (a *Adoption) Plan(ctx context.Context) (Plan, error) {
	a.began = time.Now()
	p := Plan{Schema: a.src.schema, Notes: a.notes}
	if a.broken != nil {
		p.Refusals = strings.Split(a.broken.Error(), "\n")
	}
	err := a.transaction(ctx, func(tx pgx.Tx) (err error) {
		p.Role, p.Grants, err = a.grants(ctx, tx)
		return err
	})
	if err != nil {
		return p, fmt.Errorf("look at the privileges: %w", a.explain(err))
	}
	if lacking := missing(p.Grants, "--apply"); len(lacking) > 0 {
		p.Refusals = append(p.Refusals, "privileges are missing, so nothing can be counted: let the owner of Django's tables run the GRANTs above")
		return p, nil
	}
	if p.Counts, err = a.countRows(ctx); err != nil {
		return p, fmt.Errorf("count rows: %w", a.explain(err))
	}
	migrated, err := a.planRoomspa(ctx, &p)
	if err != nil || a.broken != nil {
		return p, err
	}
	queries := oddities
	if migrated && a.src.has(messagesTable, "metadata") && !strings.HasPrefix(a.src.tables[messagesTable].columns["metadata"].Type, "json") {
		queries = append(slices.Clip(queries), metadataOddities...)
	}
	if p.Findings, err = a.find(ctx, queries); err != nil {
		return p, fmt.Errorf("look for oddities: %w", a.explain(err))
	}
	copied := `SELECT count(*) FROM {rooms} d WHERE d.room IS NOT NULL`
	if migrated {
		copied += ` AND NOT EXISTS (SELECT FROM roomspa.messages m WHERE m.number = d.number)`
	}
	if err = a.read(ctx, statement{sql: copied}, &p.Messages); err != nil {
		err = fmt.Errorf("count messages: %w", a.explain(err))
	}
	return p, err
}

// planRoomspa adds why Apply would refuse because of what roomspa holds. It reports whether
// roomspa's schema is migrated.
func (a *Adoption) planRoomspa(ctx context.Context, p *Plan) (migrated bool, err error) {
	if err := a.read(ctx, statement{sql: `SELECT to_regclass('roomspa.adoption') IS NOT NULL`}, &migrated); err != nil {
		return false, fmt.Errorf("look for roomspa's schema: %w", a.explain(err))
	}
	if !migrated {
		p.Refusals = append(p.Refusals, "roomspa's schema is missing or too old: run roomspa migrate up first")
		return false, nil
	}
	s, err := a.state(ctx)
	if err != nil {
		return true, err
	}
	for _, refusal := range []error{s.refuseOwn(), a.checkUsers(ctx)} {
		if refusal != nil && !isRefusal(refusal) {
			err = errors.Join(err, refusal)
		} else if refusal != nil {
			p.Refusals = append(p.Refusals, refusal.Error())
		}
	}
	return true, err
}

func (a *Adoption) countRows(ctx context.Context) (counts []Count, err error) {
	err = a.transaction(ctx, func(tx pgx.Tx) error {
		counts = nil
		for _, table := range []string{usersTable, conversationsTable, participantsTable, messagesTable, outstandingTable, blacklistedTable} {
			if a.src.tables[table] == nil {
				continue
			}
			c := Count{Table: a.src.name(table)}
			if err := tx.QueryRow(ctx, "SELECT count(*) FROM "+c.Table).Scan(&c.Rows); err != nil {
				return err
			}
			counts = append(counts, c)
		}
		return nil
	})
	return counts, err
}

// rate is how many messages --apply copies a second on a small server.
const rate = 8000

// WriteText prints the plan.
func (p *Plan) WriteText(to io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Django's tables in the schema %s, read as %s\n", p.Schema, p.Role)
	for _, c := range p.Counts {
		fmt.Fprintf(&b, "  %10d  %s\n", c.Rows, c.Table)
	}
	list := func(title string, lines []string) {
		if len(lines) > 0 {
			fmt.Fprintf(&b, "\n%s\n  %s\n", title, strings.Join(lines, "\n  "))
		}
	}
	list("What is different from the tables that Django makes", p.Notes)
	findings := []string{}
	for _, f := range p.Findings {
		findings = append(findings, fmt.Sprintf("%6d  %s: %s", f.Count, f.What, logging.Printable(f.list(), " ")))
	}
	list("What is odd (count, and the first of them)", findings)
	amount, duration := fmt.Sprintf("copy %d messages", p.Messages), "take about "+(time.Duration(p.Messages/rate+1)*time.Second).String()
	if len(p.Counts) == 0 {
		amount, duration = "copy all messages", "take about a second for each "+number(rate)+" messages"
	}
	list("What --apply would do", []string{
		"replace the empty table roomspa.users by a view on " + pgx.Identifier{p.Schema, usersTable}.Sanitize() + ", which roomspa only reads",
		fmt.Sprintf("%s with their conversations, read marks and signed-out tokens, in transactions of %d messages", amount, defaultBatch),
		duration + "; a second run takes seconds",
		"lock: ACCESS EXCLUSIVE on roomspa.users and SHARE ROW EXCLUSIVE on roomspa.messages for milliseconds; on Django's tables only what",
		"  SELECT takes, and at the end SHARE NOWAIT on the three chat tables, which waits for nobody and is released at once",
		"write nothing into Django's tables; --return does",
	})
	grants := []string{}
	for _, g := range p.Grants {
		exists := "missing"
		if g.Exists {
			exists = "is there"
		}
		grants = append(grants, fmt.Sprintf("%-8s  %s; -- for %s", exists, g.SQL, g.For))
	}
	list("Privileges of "+p.Role+" (none needs a superuser)", grants)
	list("--apply would refuse", p.Refusals)
	_, err := io.WriteString(to, b.String())
	return err
}

// list returns the examples of a finding.
func (f *Finding) list() string {
	text := strings.Join(f.Examples, ", ")
	if f.Count > int64(len(f.Examples)) {
		text += ", …"
	}
	return text
}

func number(n int) string { return strconv.Itoa(n) }
