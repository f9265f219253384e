package judge

import (
	"fmt"
	"io"
)

// A Breach says which promise was broken.
type Breach string

// The breaches that there are.
const (
	NotStored    Breach = "acknowledged_not_stored" // acknowledged, and not in the store as it was acknowledged
	OneIDTwice   Breach = "one_id_twice"            // one client_message_id is more than one message
	StoreHole    Breach = "store_hole"              // the store's seq is not 1, 2, 3, …
	Lost         Breach = "lost"                    // acknowledged, and never seen by a client that stayed or resumed
	Late         Breach = "late"                    // seen, but later than stated
	Hole         Breach = "hole"                    // a socket went on beyond a message that it never had
	Repeated     Breach = "repeated"                // a socket had a message twice
	Reordered    Breach = "reordered"               // a socket had a message after one that follows it
	Phantom      Breach = "seen_not_stored"         // a message was seen that the store does not have
	Differs      Breach = "differs"                 // a message was seen, or sent, otherwise than it is stored
	BadResume    Breach = "bad_resume"              // the replay is not what was asked for
	Unanswered   Breach = "never_acknowledged"      // a client that stayed has sent it again and again
	SentAway     Breach = "sent_away"               // a client was told never to come back, or a message refused
	BrokenRecord Breach = "broken_history"          // the history itself makes no sense
)

// A Violation is one promise that was broken, and where that can be seen.
type Violation struct {
	Breach    Breach
	Client    string // whose history shows it; empty where the store alone does
	Ref       string // the socket, where it is one's
	Customer  int64  // the room
	Therapist int64
	Sender    int64
	Seq       int64
	// ClientMessageID and ID are those of the message concerned, where it is known.
	ClientMessageID string
	ID              string
	Detail          string
	// Evidence are the lines of all histories that concern it, as file:line: text.
	Evidence []string

	cut bool // there is more evidence than was kept
}

// most bounds what a verdict keeps: who breaks one promise may break it a million
// times.
const (
	mostViolations = 100
	mostExplained  = 5 // violations that come with their evidence
	mostEvidence   = 80
)

func (c *court) found(v Violation) {
	c.verdict.Count++
	if len(c.verdict.Violations) < mostViolations {
		c.verdict.Violations = append(c.verdict.Violations, v)
	}
}

// String returns the violation in one line.
func (v *Violation) String() string {
	s := fmt.Sprintf("%s: room %d/%d", v.Breach, v.Customer, v.Therapist)
	if v.Client != "" {
		s += ", client " + v.Client
	}
	if v.Ref != "" {
		s += ", socket " + v.Ref
	}
	if v.Seq != 0 {
		s += fmt.Sprintf(", seq %d", v.Seq)
	}
	if v.ClientMessageID != "" {
		s += ", client_message_id " + v.ClientMessageID
	}
	return s + ": " + v.Detail
}

// Write prints the violation with its evidence.
func (v *Violation) Write(w io.Writer) error {
	if _, err := fmt.Fprintln(w, v); err != nil {
		return fmt.Errorf("print a violation: %w", err)
	}
	for _, line := range v.Evidence {
		if _, err := fmt.Fprintln(w, "  "+line); err != nil {
			return fmt.Errorf("print a violation: %w", err)
		}
	}
	if v.cut {
		if _, err := fmt.Fprintln(w, "  …"); err != nil {
			return fmt.Errorf("print a violation: %w", err)
		}
	}
	return nil
}
