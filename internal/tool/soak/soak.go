// Package soak implements `roomspa soak`: it tests that no message is lost while things
// break. It starts replicas, a
// private Postgres and Redis, and breakable links between them, lets many clients chat, and
// injects faults according to a plan that a seed decides. Package judge then checks the
// histories that the clients wrote.
package soak

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/roomspa/roomspa/internal/tool/judge"
)

const (
	startLimit = 2 * time.Minute
	stopLimit  = 30 * time.Second
	// within is how long after the last fault all clients must have received everything.
	within = judge.DefaultWithin
)

// Options configures a run. Command and Dir are required.
type Options struct {
	For      time.Duration // length of the load and the faults; default 10 min
	Seed     uint64        // decides the faults
	Replicas int           // default 3
	Clients  int           // number of sockets of roomspa's protocol; default 77
	Classic  int           // number of sockets of apps of the predecessor, in the same rooms
	JS       int           // number of sockets of the JavaScript client, each a process of Node, in the same rooms
	Only     []string      // kinds of faults; empty means all
	Rate     float64       // total messages per second over all clients; default 450
	Dir      string        // of the histories and logs; must be empty or not exist
	Command  []string      // runs a replica, which is configured by its environment
	Out      io.Writer
}

func (o Options) withDefaults() Options {
	o.For = cmp.Or(o.For, 10*time.Minute)
	o.Replicas = cmp.Or(o.Replicas, 3)
	o.Clients = cmp.Or(o.Clients, 77)
	o.Rate = cmp.Or(o.Rate, 450)
	return o
}

// Run runs the soak and prints the result; the last line is a summary. It returns false if
// the judge found violations, a replica failed, or a long run had too few messages or
// faults. When ctx ends, Run stops at once, judges the histories so far and returns false.
// It leaves no process running.
func Run(ctx context.Context, o Options) (good bool, err error) {
	o = o.withDefaults()
	chosen, err := chooseKinds(o.Only)
	if err != nil {
		return false, err
	}
	if err := makeDir(o.Dir); err != nil {
		return false, err
	}
	plan := newPlan(o.Seed, o.For, o.Replicas, chosen)
	var js *jsProgram
	if o.JS > 0 {
		if js, err = writeJS(ctx, o.Dir); err != nil {
			printLine(o.Out, "soak: without the %d clients in JavaScript: %v", o.JS, err)
			o.JS = 0
		}
	}
	printLine(o.Out, "soak: seed %d, %v, %d replicas, %d clients, %d classic ones and %d in JavaScript; histories in %s", o.Seed, o.For, o.Replicas, o.Clients, o.Classic, o.JS, o.Dir)
	plan.print(o.Out)
	failures, err := execute(ctx, o, plan, js)
	if err != nil {
		return false, err
	}
	verdict, err := judge.Judge(os.DirFS(o.Dir))
	if err != nil {
		return false, err
	}
	if ctx.Err() != nil {
		failures = append(failures, "it was interrupted")
	} else if o.For >= longRun && len(o.Only) == 0 {
		failures = append(failures, checkVolume(verdict)...)
	}
	return printResult(o.Out, verdict, failures), nil
}

// execute runs everything from the first process to the last history. It returns failures
// that the histories do not show.
func execute(ctx context.Context, o Options, plan plan, js *jsProgram) (failures []string, err error) {
	d := &deployment{dir: o.Dir, command: o.Command, js: js}
	defer func() { err = errors.Join(err, d.stop(ctx)) }()
	start, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := d.start(start, o.Replicas, (o.Clients+roomSize-1)/roomSize); err != nil {
		return nil, err
	}
	run := judge.Run{Seed: o.Seed, Within: within, Started: time.Now().UnixMicro()}
	crowd, err := d.startCrowd(ctx, o)
	if err != nil {
		return nil, err
	}
	r := newRunner(d, crowd, time.Now(), o.Out)
	failed := r.run(ctx, o, plan)
	crowd.waitIdle(ctx, within, d.pgURL)
	run.Ended = time.Now().UnixMicro()
	if failed == nil && ctx.Err() == nil {
		failed = d.writePages(ctx, crowd.rooms)
	}
	if err := errors.Join(failed, crowd.close()); err != nil {
		return nil, err
	}
	if err := r.writeFaults(o.Dir); err != nil {
		return nil, err
	}
	if err := writeJSON(filepath.Join(o.Dir, judge.RunFile), run); err != nil {
		return nil, err
	}
	dump, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if err := Dump(dump, d.pgURL, o.Dir); err != nil {
		return nil, err
	}
	return d.failures(), nil
}

// makeDir makes the directory of a run. Histories of two runs must not be mixed.
func makeDir(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, judge.ClientsDir), 0o755); err != nil {
		return fmt.Errorf("make the directory of the histories: %w", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 1 {
		return errors.Join(fmt.Errorf("the directory %s is not empty: name another one", dir), err)
	}
	return nil
}

// The minimum volume of a run of longRun or more. A run with fewer faults or messages proves
// nothing.
const (
	longRun       = 10 * time.Minute
	minMessages   = 100_000
	minFaults     = 100
	minPerKind    = 5
	minReconnects = 1_000
)

// checkVolume returns what a long run had too few of.
func checkVolume(v *judge.Verdict) (failures []string) {
	for _, c := range []struct {
		what      string
		got, want int
	}{
		{"messages", v.Messages, minMessages},
		{"faults", v.FaultCount(), minFaults},
		{"reconnects", v.Reconnects, minReconnects},
	} {
		if c.got < c.want {
			failures = append(failures, fmt.Sprintf("only %d %s; a run of this length must have %d", c.got, c.what, c.want))
		}
	}
	for _, k := range kinds {
		if n := v.Faults[string(k.kind)]; n < minPerKind {
			failures = append(failures, fmt.Sprintf("only %d faults of the kind %s; a run of this length must have %d", n, k.kind, minPerKind))
		}
	}
	return failures
}

// Check judges the histories of an earlier run and prints the result.
func Check(dir string, out io.Writer) (good bool, err error) {
	verdict, err := judge.Judge(os.DirFS(dir))
	if err != nil {
		return false, err
	}
	return printResult(out, verdict, nil), nil
}

// printResult prints the violations, the first one with its evidence, and the failures.
func printResult(out io.Writer, v *judge.Verdict, failures []string) (good bool) {
	for i := range v.Violations {
		if i == 0 {
			_ = v.Violations[i].Write(out) // the exit code says enough
			continue
		}
		printLine(out, "%s", &v.Violations[i])
	}
	for _, f := range failures {
		printLine(out, "soak: failed: %s", f)
	}
	if c := v.Classic; c.Clients > 0 {
		printLine(out, "soak: %d classic clients received %d frames; %d of their messages came back, %d did not (%d of these are stored); GET /chat/messages/ has %d of %d messages",
			c.Clients, c.Received, c.Answered, c.Unanswered, c.Stored, c.Paged, v.Stored)
	}
	printLine(out, "soak: %d messages, %d faults, %d reconnects, %d violations", v.Messages, v.FaultCount(), v.Reconnects, v.Count)
	return v.Count == 0 && len(failures) == 0
}

func printLine(out io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(out, format+"\n", args...) // a closed output must not end the run
}
