package story

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/logging"
)

// The width of a line in characters, and the failures of a user that are shown.
const (
	lineWidth     = 100
	failuresShown = 10
	recently      = 10 * time.Minute
)

// Print writes a story as text: the connection, the steps, the end, the cause, the cure, and
// other failures of the same user.
func (t *Explanation) Print(w io.Writer) error {
	p := &printer{}
	s := t.Story
	p.head(s)
	for _, step := range s.Steps {
		mark := "ok"
		if step.Outcome != OK {
			mark = "FAILED"
		}
		p.line("  %-7s %-20s %10s  %s", mark, step.Name, took(step.Took), step.Detail)
	}
	p.end(s)
	for _, r := range s.Returns {
		p.line("%s  the client reconnected as %s and reported close code %s", timestamp(r.At), r.Ref, r.Code)
	}
	p.why(t)
	p.previous(t)
	p.user(t)
	if t.Missing != "" {
		p.line("\nRedis is unavailable, so this is only what one replica has in memory: %s", t.Missing)
	}
	_, err := io.WriteString(w, p.b.String())
	return err
}

type printer struct{ b strings.Builder }

// line writes a line. Control characters in the arguments are escaped: parts of a story come
// from clients and from stores.
func (p *printer) line(format string, args ...any) {
	for i, a := range args {
		if text, ok := a.(string); ok {
			args[i] = logging.Printable(text, " ")
		}
	}
	p.b.WriteString(strings.TrimRight(fmt.Sprintf(format, args...), " ") + "\n")
}

func (p *printer) head(s *Story) {
	what := s.Endpoint + " socket"
	if s.Method != "" {
		what = "request"
	}
	p.line("%s  %s on replica %s", s.Ref, strings.TrimSpace(what), s.Replica)
	p.line("%s  %s from %s%s", timestamp(s.Began), strings.TrimSpace(s.Method+" "+s.Path), s.Remote, userOf(s))
	if s.TraceID != "" {
		p.line("         trace %s", s.TraceID)
	}
	if s.LastRef != "" {
		p.line("         previous connection %s, reported close code %s", s.LastRef, strconv.Quote(s.LastCode))
	}
}

func userOf(s *Story) string {
	switch {
	case s.User == 0:
		return ""
	case s.Role == "":
		return fmt.Sprintf(", user %d", s.User)
	}
	return fmt.Sprintf(", user %d (%s)", s.User, s.Role)
}

func (p *printer) end(s *Story) {
	e := s.End
	if e == nil {
		return
	}
	p.line("%s  ended by the %s: %d %s %s", timestamp(e.At), e.By, e.Code, e.Reason, e.Detail)
	pong := "no pong"
	if e.Pong != 0 {
		pong = "last pong " + took(e.Pong) + " before"
	}
	p.line("         after %s, idle for %s, %s; %d messages received (%d bytes), %d sent (%d bytes), %d queued",
		took(e.Age), took(e.Idle), pong, e.Received, e.ReceivedBytes, e.Sent, e.SentBytes, e.Behind)
}

func (p *printer) why(t *Explanation) {
	s := t.Story
	if s.Why() == "" {
		return
	}
	p.line("")
	if t.Failed != nil {
		p.line("Failed at: %s", t.Failed.Name)
	}
	code := ""
	switch {
	case s.Status != 0:
		code = "HTTP " + strconv.Itoa(s.Status) + " "
	case s.Code != 0:
		code = strconv.Itoa(s.Code) + " "
	case s.End != nil:
		code = strconv.Itoa(s.End.Code) + " "
	}
	words := s.Reason
	if s.Why() != words {
		words = strings.TrimPrefix(words+": "+s.Why(), ": ")
	}
	p.line("Cause:     %s%s", code, words)
	if t.Advice != nil {
		p.paragraph("           ", t.Advice.Means)
		p.paragraph("To do:     ", t.Advice.Cure)
	}
	if t.Pattern != "" {
		p.paragraph("Pattern:   ", t.Pattern)
	}
}

// previous describes the client's previous connection.
func (p *printer) previous(t *Explanation) {
	if t.Before == nil {
		return
	}
	p.line("\nPrevious connection %s on replica %s, %s:", t.Before.Ref, t.Before.Replica, timestamp(t.Before.Began))
	if f := t.Before.FailedStep(); f != nil {
		p.line("  FAILED  %-20s %10s  %s: %s", f.Name, took(f.Took), t.Before.Why(), f.Detail)
	}
	p.end(t.Before)
}

func (p *printer) user(t *Explanation) {
	if len(t.SameUser) < 2 {
		return
	}
	n := 0
	for _, f := range t.SameUser {
		if time.Since(f.At) < recently {
			n++
		}
	}
	p.line("\nUser %d failed %d times within a day, %d of them in the last %d minutes:", t.Story.User, len(t.SameUser), n, int(recently.Minutes()))
	for i, f := range t.SameUser {
		if i == failuresShown {
			p.line("  … and %d more", len(t.SameUser)-i)
			break
		}
		p.line("  %s  %s  %d %s", timestamp(f.At), f.Ref, f.Code, f.Why)
	}
}

// paragraph writes a label and a text that is wrapped to the line width.
func (p *printer) paragraph(label, text string) {
	line, indent := label, strings.Repeat(" ", len(label))
	for word := range strings.FieldsSeq(text) {
		if len(line)+len(word) > lineWidth && strings.TrimSpace(line) != "" {
			p.line("%s", line)
			line = indent
		}
		line += word + " "
	}
	p.line("%s", line)
}

func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// took formats a duration with about three digits.
func took(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}
