package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/tool/adopt"
	"github.com/roomspa/roomspa/internal/tool/connect"
)

type adoptCmd struct {
	Django adoptDjangoCmd `cmd:"" help:"Take over users and chat of the predecessor, a Django application in the same database, and give the chat back."`
}

type adoptDjangoCmd struct {
	databaseFlags
	Plan   bool `env:"-" xor:"what" required:"" help:"Write nothing; print what the live tables look like, what --apply would do, and every oddity."`
	Apply  bool `env:"-" xor:"what" required:"" help:"Create the view roomspa.users on Django's users. Copy new and changed conversations, messages, read marks and signed-out tokens from Django's tables."`
	Verify bool `env:"-" xor:"what" required:"" help:"Compare counts and checksums of both sides."`
	Return bool `env:"-" xor:"what" required:"" help:"Write what roomspa stored since into Django's tables: the way back."`

	Final        bool   `env:"-" help:"With --apply: fail if somebody still writes into Django's chat tables."`
	DjangoSchema string `env:"-" placeholder:"NAME" help:"Schema of Django's tables. Default: the one that has them."`
	TimeZone     string `default:"UTC" env:"-" placeholder:"ZONE" help:"Time zone of times without one (USE_TZ = False)."`
	JSON         bool   `name:"json" env:"-" help:"With --plan and --verify: print one JSON object."`
}

// Help is shown by --help.
func (*adoptDjangoCmd) Help() string {
	return `Everything happens in one database: Django's tables stay where they are, and roomspa's are in the schema roomspa. No step needs
a superuser. Users stay with Django, and roomspa reads them through a view. Messages keep their numbers. --apply and --return may
be repeated: they write only what is new, and after an interruption they continue. Run --apply first while Django serves the chat,
and again with --final when the chat's paths lead to roomspa. docs/migration.md is the whole procedure.
Exit code: 0 for success, 1 if a check failed or somebody still writes (--final).

Examples:
  roomspa adopt django --plan
  roomspa adopt django --apply --final
  roomspa adopt django --return`
}

// Run does one of the four.
func (c *adoptDjangoCmd) Run(ctx context.Context, std streams) error {
	if c.Final && !c.Apply {
		return &exitError{2, errors.New("--final belongs to --apply")}
	}
	bar := &progressBar{to: std.Err, terminal: connect.IsTerminal(std.Err)}
	a, err := adopt.Open(ctx, adopt.Options{
		Database: c.options(), Schema: c.DjangoSchema, TimeZone: c.TimeZone, Progress: bar.show,
		Out: &clearing{to: std.Out, bar: bar},
	})
	if err != nil {
		return err
	}
	defer a.Close(ctx)
	defer bar.clear()
	switch {
	case c.Plan:
		return c.plan(ctx, std, a, bar)
	case c.Apply:
		return c.apply(ctx, std, a)
	case c.Verify:
		return c.verify(ctx, std, a, bar)
	default:
		return returnChat(ctx, std, a)
	}
}

func (c *adoptDjangoCmd) plan(ctx context.Context, std streams, a *adopt.Adoption, bar *progressBar) error {
	p, err := a.Plan(ctx)
	if err != nil {
		return err
	}
	bar.clear()
	if c.JSON {
		err = printJSON(std.Out, p)
	} else {
		err = p.WriteText(std.Out)
	}
	if err == nil && len(p.Refusals) > 0 {
		err = &exitError{1, errPrinted}
	}
	return err
}

func (c *adoptDjangoCmd) apply(ctx context.Context, std streams, a *adopt.Adoption) error {
	writers, err := a.Apply(ctx)
	if err != nil {
		return err
	}
	if len(writers) == 0 {
		_, err = fmt.Fprintln(std.Out, "complete: nobody writes")
		return err
	}
	_, err = fmt.Fprintf(std.Out, "not complete: still writing into Django's chat tables:\n  %s\nrun --apply again when they have ended\n", strings.Join(writers, "\n  "))
	if err == nil && c.Final {
		err = &exitError{1, errPrinted}
	}
	return err
}

func (c *adoptDjangoCmd) verify(ctx context.Context, std streams, a *adopt.Adoption, bar *progressBar) error {
	found, err := a.Verify(ctx)
	if err != nil {
		return err
	}
	bar.clear()
	if c.JSON {
		err = printJSON(std.Out, found)
	} else {
		_, err = fmt.Fprintf(std.Out, "rooms %d, messages in roomspa %d, in Django %d, stored by roomspa since %d\n", found.Rooms, found.Ours, found.Theirs, found.OnlyOurs)
		for _, d := range found.Differences {
			_, _ = fmt.Fprintln(std.Out, "DIFFERENT  "+d)
		}
	}
	if err == nil && len(found.Differences) > 0 {
		err = &exitError{1, errPrinted}
	}
	if err == nil && !c.JSON {
		_, err = fmt.Fprintln(std.Out, "no difference")
	}
	return err
}

func returnChat(ctx context.Context, std streams, a *adopt.Adoption) error {
	if err := a.Return(ctx); err != nil {
		return err
	}
	replicas, err := a.Replicas(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(std.Out, "complete: Django's tables have everything that roomspa stored")
	if err == nil && replicas > 0 {
		_, err = fmt.Fprintf(std.Out, "%d replicas of roomspa have sent a heartbeat within 30 s: when the chat's paths lead to Django again, run --return once more for what came meanwhile\n", replicas)
	}
	return err
}

// A progressBar shows how far a step is: one line that is written over on a terminal, else a line
// every few seconds.
type progressBar struct {
	to       io.Writer
	terminal bool
	shown    bool
	last     time.Time
}

func (b *progressBar) show(p adopt.Progress) {
	every := 5 * time.Second
	if b.terminal {
		every = 200 * time.Millisecond
	}
	if p.Total <= 0 {
		if b.terminal {
			_, _ = io.WriteString(b.to, "\r\x1b[K"+p.Step+" …")
			b.shown = true
		}
		return
	}
	if p.Took < every || p.Done < p.Total && time.Since(b.last) < every {
		return
	}
	b.last = time.Now()
	perSecond := float64(p.Done) / max(p.Took.Seconds(), 0.001)
	rest := time.Duration(float64(p.Total-p.Done) / max(perSecond, 0.001) * float64(time.Second)).Round(time.Second)
	text := fmt.Sprintf("%s: %d of %d (%d%%), %.0f a second, %s left", p.Step, p.Done, p.Total, 100*p.Done/p.Total, perSecond, rest)
	if b.terminal {
		const width = 24
		full := int(width * p.Done / p.Total)
		text = "\r\x1b[K[" + strings.Repeat("#", full) + strings.Repeat(".", width-full) + "] " + text
		b.shown = true
	} else {
		text += "\n"
	}
	_, _ = io.WriteString(b.to, text)
}

// clear removes the bar from a terminal.
func (b *progressBar) clear() {
	if b.shown {
		_, _ = io.WriteString(b.to, "\r\x1b[K")
		b.shown = false
	}
}

// clearing removes the bar before it writes.
type clearing struct {
	to  io.Writer
	bar *progressBar
}

func (c *clearing) Write(p []byte) (int, error) {
	c.bar.clear()
	return c.to.Write(p)
}
