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

// Start shows that a step begins.
func (t *Text) Start(step string) { t.Progress(step, "…") }

// Progress shows what a step is waiting for.
func (t *Text) Progress(step, text string) {
	if t.Terminal {
		t.print("%s… %-10s %s", clearLine, step, logging.Printable(text, " "))
	}
}

// End shows the result of a step.
func (t *Text) End(s Step) {
	mark, color := "✓", "32"
	if !s.OK {
		mark, color = "✗", "31"
	}
	if t.Terminal {
		t.print(clearLine)
	}
	t.print("%s %-10s %8.1f ms  %s\n", t.paint(color, mark), s.Name, s.MS, s.Detail)
}

// Finish shows the result of the diagnosis.
func (t *Text) Finish(r Report) {
	if t.Terminal {
		t.print(clearLine)
	}
	if r.OK {
		t.print("%s\n", t.paint("32", "All is well."))
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s  %s\n%s   %s\n", t.paint("1", "cause"), r.Cause, t.paint("1", "cure"), r.Cure)
	if r.Ref != "" {
		fmt.Fprintf(&b, "%s    %s  (roomspa explain %s)\n", t.paint("1", "ref"), r.Ref, r.Ref)
	}
	t.print("%s", b.String())
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
