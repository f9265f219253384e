package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/roomspa/roomspa/internal/tool/adopt"
)

// printReport prints a table of what came over, and below it what did not.
func printReport(out io.Writer, r adopt.Report) error {
	var b strings.Builder
	added := "added"
	if r.Rehearsal {
		added = "to add"
	}
	fmt.Fprintf(&b, "%-14s %10s %10s %10s %10s\n", "", "read", added, "known", "left out")
	for _, row := range []struct {
		name string
		adopt.Count
	}{{"users", r.Users}, {"conversations", r.Conversations}, {"messages", r.Messages}} {
		fmt.Fprintf(&b, "%-14s %10d %10d %10d %10d\n", row.name, row.Read, row.Added, row.Known, row.LeftOut)
	}
	for _, f := range r.Findings {
		outcome := "note"
		if f.LeftOut {
			outcome = "LEFT OUT"
		}
		fmt.Fprintf(&b, "%-8s %6d %s", outcome, f.Count, f.Means)
		if len(f.Examples) > 0 {
			fmt.Fprintf(&b, " (%s)", strings.Join(f.Examples, ", "))
		}
		fmt.Fprintln(&b)
	}
	if r.Rehearsal {
		fmt.Fprintln(&b, "This was a rehearsal: nothing was written.")
	}
	_, err := io.WriteString(out, b.String())
	return err
}
