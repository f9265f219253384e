// Package soak breaks whatever can be broken, for as long as one likes, and has
// the judge say whether anybody lost a message. It starts replicas, a private
// Postgres and a private Redis with breakable links between all of them, lets a
// crowd of clients chat, and follows a plan of faults that a seed decides.
//
// It owns the processes, the links and the histories that it writes; what these
// mean is the judge's to say.
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
	// within is how long after the last fault everybody has to have seen
	// everything.
	within = judge.DefaultWithin
)

// Options says what a soak is like. Command and Dir are needed.
type Options struct {
	For      time.Duration // of load and faults; 0 means 10 min
	Seed     uint64        // decides the faults
	Replicas int           // 0 means 3
	Clients  int           // sockets; 0 means 75
	Rate     float64       // messages a second, all clients together; 0 means 450
	Dir      string        // for the histories and logs; must be empty, or not exist
	Command  []string      // runs a replica, which its environment configures
	Out      io.Writer
}

func (o Options) withDefaults() Options {
	o.For = cmp.Or(o.For, 10*time.Minute)
	o.Replicas = cmp.Or(o.Replicas, 3)
	o.Clients = cmp.Or(o.Clients, 75)
	o.Rate = cmp.Or(o.Rate, 450)
	return o
}

// Run soaks, judges, and prints what came of it; the last line sums it up. It
// returns false where the judge found violations, a replica died by itself, or a
// long run was too quiet to count. When ctx ends it stops at once, judges what
// there is, and returns false. Nothing that it started is left when it returns.
func Run(ctx context.Context, o Options) (good bool, err error) {
	o = o.withDefaults()
	if err := prepare(o.Dir); err != nil {
		return false, err
	}
	plan := newPlan(o.Seed, o.For, o.Replicas)
	say(o.Out, "soak: seed %d, %v, %d replicas, %d clients; histories in %s", o.Seed, o.For, o.Replicas, o.Clients, o.Dir)
	plan.print(o.Out)
	complaints, err := play(ctx, o, plan)
	if err != nil {
		return false, err
	}
	verdict, err := judge.Judge(os.DirFS(o.Dir))
	if err != nil {
		return false, err
	}
	if ctx.Err() != nil {
		complaints = append(complaints, "it was interrupted")
	} else if o.For >= longRun {
		complaints = append(complaints, tooQuiet(verdict)...)
	}
	return report(o.Out, verdict, complaints), nil
}

// play is a run from its first server to its last history. It returns what is
// wrong beside what the histories tell.
func play(ctx context.Context, o Options, plan plan) (complaints []string, err error) {
	s := &stage{dir: o.Dir, command: o.Command}
	defer func() { err = errors.Join(err, s.stop(ctx)) }()
	start, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := s.start(start, o.Replicas, (o.Clients+roomSize-1)/roomSize); err != nil {
		return nil, err
	}
	run := judge.Run{Seed: o.Seed, Within: within, Started: time.Now().UnixMicro()}
	crowd, err := s.gather(ctx, o)
	if err != nil {
		return nil, err
	}
	director := &director{stage: s, crowd: crowd, began: time.Now(), out: o.Out}
	failed := director.direct(ctx, o, plan)
	crowd.settle(ctx, within)
	run.Ended = time.Now().UnixMicro()
	if err := errors.Join(failed, crowd.close()); err != nil {
		return nil, err
	}
	if err := director.record(o.Dir); err != nil {
		return nil, err
	}
	if err := writeJSON(filepath.Join(o.Dir, judge.RunFile), run); err != nil {
		return nil, err
	}
	dump, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if err := s.dump(dump); err != nil {
		return nil, err
	}
	return s.complaints(), nil
}

// prepare makes the directory. Histories of two runs must never lie side by side.
func prepare(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, judge.ClientsDir), 0o755); err != nil {
		return fmt.Errorf("make the directory of the histories: %w", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 1 {
		return errors.Join(fmt.Errorf("%s is not empty: name another directory", dir), err)
	}
	return nil
}

func say(out io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(out, format+"\n", args...) // where should a failure of this go
}
