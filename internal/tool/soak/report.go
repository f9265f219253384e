package soak

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/roomspa/roomspa/internal/tool/judge"
)

// longRun is how long a run must be to be held to what follows: a run that broke
// little and said little proves nothing.
const (
	longRun         = 10 * time.Minute
	leastMessages   = 100_000
	leastFaults     = 100
	leastOfEach     = 5
	leastReconnects = 1_000
)

// tooQuiet says in what a long run fell short.
func tooQuiet(v *judge.Verdict) (complaints []string) {
	for _, c := range []struct {
		what      string
		got, want int
	}{
		{"messages", v.Messages, leastMessages},
		{"faults", v.FaultCount(), leastFaults},
		{"reconnects", v.Reconnects, leastReconnects},
	} {
		if c.got < c.want {
			complaints = append(complaints, fmt.Sprintf("only %d %s; a run that long must have %d", c.got, c.what, c.want))
		}
	}
	for _, k := range kinds {
		if n := v.Faults[string(k.kind)]; n < leastOfEach {
			complaints = append(complaints, fmt.Sprintf("only %d faults of the kind %s; a run that long must have %d", n, k.kind, leastOfEach))
		}
	}
	return complaints
}

// Check judges histories that were written earlier, and prints what Run prints in
// the end.
func Check(dir string, out io.Writer) (good bool, err error) {
	verdict, err := judge.Judge(os.DirFS(dir))
	if err != nil {
		return false, err
	}
	return report(out, verdict, nil), nil
}

// report prints the verdict, the first violation in full.
func report(out io.Writer, v *judge.Verdict, complaints []string) (good bool) {
	for i := range v.Violations {
		if i == 0 {
			_ = v.Violations[i].Write(out) // where should a failure of this go
			continue
		}
		say(out, "%s", &v.Violations[i])
	}
	for _, c := range complaints {
		say(out, "soak: failed: %s", c)
	}
	say(out, "soak: %d messages, %d faults, %d reconnects, %d violations", v.Messages, v.FaultCount(), v.Reconnects, v.Count)
	return v.Count == 0 && len(complaints) == 0
}
