package diagnose

import (
	"fmt"
	"io"
	"strings"

	"github.com/roomspa/roomspa/internal/logging"
)

// Text writes a diagnosis as text, one line per step. It implements Watcher.
type Text struct {
	Out      io.Writer
	Terminal bool // Out is a terminal, where the progress of a step can be shown and overwritten
	Color    bool
}

// clearLine moves to the beginning of the terminal's line and clears it (ECMA-48).
const clearLine = "\r\x1b[K"

// Start shows that steps begin.
func (t *Text) Start(steps string) { t.Progress(steps, "…") }

// Progress shows what a step is waiting for.
func (t *Text) Progress(step, text string) {
	if t.Terminal {
		t.print("%s… %-10s %s", clearLine, step, logging.Printable(text, " "))
	}
}

// End shows the result of a step.
func (t *Text) End(s Step) {
	mark, color := "✓", "32"
	switch {
	case !s.OK:
		mark, color = "✗", "31"
	case s.Slow:
		mark, color = "!", "33"
	}
	if t.Terminal {
		t.print(clearLine)
	}
	t.print("%s %-10s %8.1f ms  %s\n", t.paint(color, mark), s.Name, s.MS, s.Detail)
}

// Finish shows the verdict: the first cause with its cure, then the others.
func (t *Text) Finish(r Report) {
	if t.Terminal {
		t.print(clearLine)
	}
	var b strings.Builder
	shown := 0
	for _, n := range r.Findings {
		if n.Level == note {
			continue
		}
		if shown++; shown > 1 {
			fmt.Fprintf(&b, "\n%s\n", t.paint("1", map[string]string{fault: "also", warning: "warning"}[n.Level]))
		} else {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%s  %s\n", t.paint("1", "cause"), n.Cause)
		for _, e := range n.Evidence {
			fmt.Fprintf(&b, "%s    %s\n", t.paint("1", "why"), logging.Printable(e, " "))
		}
		fmt.Fprintf(&b, "%s   %s %s\n", t.paint("1", "cure"), actors[n.Side], n.Cure)
		if n.Ref != "" {
			fmt.Fprintf(&b, "%s    %s  (%s)\n", t.paint("1", "ref"), n.Ref, r.explain(n.Ref))
		}
	}
	b.WriteString(t.rest(r, shown))
	t.print("%s", b.String())
}

// explain returns the command that tells the story of a ref. Any replica knows it.
func (r *Report) explain(ref string) string {
	for _, one := range r.Facts.Replicas {
		if one.Error == "" {
			return "roomspa explain " + ref + " --ops " + one.Address
		}
	}
	return "roomspa explain " + ref
}

// actors name who can act.
var actors = map[string]string{
	network: "[client's network]", byClient: "[client]", ingress: "[proxy or ingress]", operator: "[operator]",
}

// rest shows the notes, what was not tested, and that nothing was found.
func (t *Text) rest(r Report, shown int) string {
	var b strings.Builder
	if shown > 0 {
		b.WriteString("\n")
	}
	for _, n := range r.Findings {
		if n.Level == note {
			fmt.Fprintf(&b, "%s    %s: %s\n", t.paint("1", "note"), n.Cause, logging.Printable(strings.Join(n.Evidence, "; "), " "))
		}
	}
	for _, left := range r.NotTested {
		fmt.Fprintf(&b, "%s  %s\n", t.paint("1", "not tested"), left)
	}
	switch {
	case shown > 0 && r.OK:
		b.WriteString(t.paint("33", "It works, with the warnings above.") + "\n")
	case shown > 0:
	case len(r.NotTested) > 0:
		b.WriteString(t.paint("32", "No fault was found in what was tested.") + "\n")
	default:
		b.WriteString(t.paint("32", "All is well.") + "\n")
	}
	if r.Next != "" {
		b.WriteString(r.Next + "\n")
	}
	return b.String()
}

func (t *Text) paint(sgr, text string) string {
	if !t.Color {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[0m"
}

func (t *Text) print(format string, args ...any) {
	_, _ = fmt.Fprintf(t.Out, format, args...) // a closed output must not end the diagnosis
}
