// Package judge decides whether any acknowledged message was lost, repeated or reordered, and
// whether all devices agree in the end on the state of their conversation.
// It compares the histories that clients wrote with each other and with the final content
// of the store. It does not rely on what a client concluded from what it saw.
//
// The package only reads files. It knows no servers, sockets or clocks.
package judge

import (
	"fmt"
	"io/fs"
	"time"
)

// DefaultWithin is how long after the last fault all clients must have received all
// messages, unless a run says otherwise. It covers a client's backoff, a replica's
// reconnection to Redis and Postgres, and its next sweep for lost messages.
const DefaultWithin = 30 * time.Second

// A Verdict is the result for a run.
type Verdict struct {
	Messages   int // acknowledged messages, each counted once
	Stored     int
	Faults     map[string]int // by kind
	Clients    int
	Reconnects int // sockets beyond the first of each client
	Classic    Classic
	// Count is the number of violations. Violations holds the first of them.
	Count      int
	Violations []Violation
}

// Classic counts what the classic clients did.
type Classic struct {
	Clients    int
	Received   int // frames
	Answered   int // sends whose own frame came back
	Unanswered int // sends whose socket ended before
	Stored     int // of the unanswered ones
	Paged      int // messages of GET /chat/messages/
}

// FaultCount returns the number of faults of all kinds.
func (v *Verdict) FaultCount() int {
	n := 0
	for _, count := range v.Faults {
		n += count
	}
	return n
}

// A checker is the state of one call of Judge.
type checker struct {
	dir           fs.FS
	run           Run
	conversations map[roomKey]*conversation
	lastFaultEnd  int64
	rewindBegan   int64 // of the first fault that rewinds the database, 0 if there is none
	rewindEnded   int64 // of the last one
	verdict       *Verdict
}

// Judge checks the histories in a directory; see [Run] for its files. It returns an error
// if they cannot be read. Violations are not errors.
func Judge(dir fs.FS) (*Verdict, error) {
	c := &checker{dir: dir, verdict: &Verdict{Faults: map[string]int{}}}
	for _, step := range []func() error{c.readRun, c.readFaults, c.readStore, c.readCursors, c.checkAcknowledgements, c.checkPages, c.checkClients, c.checkClassic, c.checkStates, c.collectEvidence} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("judge: %w", err)
		}
	}
	return c.verdict, nil
}

// deadline returns when a message that was acknowledged at a time must have been received.
func (c *checker) deadline(acknowledged int64) int64 {
	return max(acknowledged, c.lastFaultEnd) + c.run.Within.Microseconds()
}

func (c *checker) add(v Violation) {
	c.verdict.Count++
	if len(c.verdict.Violations) < maxViolations {
		c.verdict.Violations = append(c.verdict.Violations, v)
	}
}
