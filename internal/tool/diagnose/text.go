package diagnose

import (
	"fmt"
	"io"
	"strings"
)

// Text shows a diagnosis to a person, a step a line.
type Text struct {
	Out io.Writer
	// Terminal says that a line may be written over: it shows what is waited for.
	Terminal bool
	Color    bool
}

// What a terminal does (ECMA-48): to the beginning of the line, and forget it.
const forget = "\r\x1b[K"

// Began shows that a step begins.
func (t *Text) Began(name string) { t.Waits(name, "…") }

// Waits shows what a step waits for.
func (t *Text) Waits(name, what string) {
	if t.Terminal {
		t.print("%s… %-10s %s", forget, name, printable(what))
	}
}

// Ended shows how a step went.
func (t *Text) Ended(s Step) {
	mark, color := "✓", "32"
	if !s.OK {
		mark, color = "✗", "31"
	}
	if t.Terminal {
		t.print(forget)
	}
	t.print("%s %-10s %8.1f ms  %s\n", t.paint(color, mark), s.Name, s.MS, s.Detail)
}

// Conclude shows what all of it means.
func (t *Text) Conclude(r Report) {
	if t.Terminal {
		t.print(forget)
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
	_, _ = fmt.Fprintf(t.Out, format, args...) // a reader that is gone has had enough
}
