// Package judge says whether the promise was kept: no acknowledged message is
// lost, repeated or reordered. It holds the raw histories that clients wrote
// against each other and against what the store held in the end, and believes
// nobody's own opinion of what it saw.
//
// It reads files and does nothing else: it knows no server, no socket and no
// clock. What it finds are values with their evidence.
package judge

import (
	"fmt"
	"io/fs"
	"time"
)

// DefaultWithin is how long after the last fault everybody has to have seen
// everything, where a run states no other time: a client's back-off, a replica's
// way back to Redis and Postgres and its next look for lost messages all fit.
const DefaultWithin = 30 * time.Second

// A Verdict is what a run comes to.
type Verdict struct {
	Messages   int // that were acknowledged, each counted once
	Stored     int
	Faults     map[string]int // by kind
	Clients    int
	Reconnects int // sockets beyond the first of each client
	// Count is how many violations there were, Violations the first of them.
	Count      int
	Violations []Violation
}

// FaultCount returns how many faults there were altogether.
func (v *Verdict) FaultCount() int {
	n := 0
	for _, count := range v.Faults {
		n += count
	}
	return n
}

// A court is one judgement under way.
type court struct {
	dir     fs.FS
	run     Run
	store   *store
	fault   int64 // end of the last one
	verdict *Verdict
}

// Judge judges the histories in a directory (see [Run] for the files it has). An
// error says that they cannot be read; violations are no error.
func Judge(dir fs.FS) (*Verdict, error) {
	c := &court{dir: dir, verdict: &Verdict{Faults: map[string]int{}}}
	for _, step := range []func() error{c.readRun, c.readFaults, c.readStore, c.acknowledgements, c.views, c.evidence} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("judge: %w", err)
		}
	}
	return c.verdict, nil
}

// due is when a message that was acknowledged at a time has to have been seen.
func (c *court) due(acknowledged int64) int64 {
	return max(acknowledged, c.fault) + c.run.Within.Microseconds()
}
