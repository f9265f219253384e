package judge

import (
	"fmt"
	"io"
	"strings"
)

// A Breach is the kind of a violation.
type Breach string

// The kinds of violations.
const (
	NotStored    Breach = "acknowledged_not_stored" // an acknowledged message is not stored
	OneIDTwice   Breach = "one_id_twice"            // one client_message_id stands for more than one message
	StoreHole    Breach = "store_hole"              // the seqs in the store are not 1, 2, 3, …
	Lost         Breach = "lost"                    // a client that stayed never received an acknowledged message
	Late         Breach = "late"                    // a message was received too late
	Hole         Breach = "hole"                    // a socket received messages after one that it never received
	Repeated     Breach = "repeated"                // a socket received a message twice
	Reordered    Breach = "reordered"               // a socket received a message after a later one
	Phantom      Breach = "seen_not_stored"         // a client received a message that is not stored
	Differs      Breach = "differs"                 // a message was received or sent with other content than is stored
	BadResume    Breach = "bad_resume"              // the replay is not the one that was asked for
	Unanswered   Breach = "never_acknowledged"      // a client that stayed sent a message that was never acknowledged
	SentAway     Breach = "sent_away"               // a client was told not to reconnect, or a message was refused
	BrokenRecord Breach = "broken_history"          // the history is inconsistent
	ForeignFrame Breach = "foreign_frame"           // a classic client received a frame that is not the predecessor's
	PageDiffers  Breach = "page_differs"            // GET /chat/messages/ has other messages than the store, or another order

	CursorLowered   Breach = "cursor_lowered"   // a client was told a lower cursor than before
	CursorDiffers   Breach = "cursor_differs"   // a client that stayed has another cursor than is stored
	ReceiptLost     Breach = "receipt_lost"     // the stored cursor is lower than a client that stayed has marked
	UnreadDiffers   Breach = "unread_differs"   // a client was told another number of unread messages than there are
	PresenceDiffers Breach = "presence_differs" // a client that stayed does not show a connected user as online
	OwnTyping       Breach = "own_typing"       // a client was told that its own user types
)

// A Violation is one broken promise, with its evidence.
type Violation struct {
	Breach    Breach
	Client    string // whose history shows it; empty if only the store does
	Ref       string // of the socket, if it concerns one
	Customer  int64  // the room is Customer/Therapist
	Therapist int64
	Sender    int64
	Seq       int64
	// ClientMessageID and ID belong to the message concerned, if that is known.
	ClientMessageID string
	ID              string
	Text            string // hash of the text of a classic message
	Detail          string
	// Evidence holds the lines of all histories that concern it, as file:line: text.
	Evidence []string

	truncated bool  // there is more evidence
	state     bool  // it is about the state of a conversation
	at        int64 // when the state was told
}

// Limits of what a verdict keeps.
const (
	maxViolations = 100
	maxExplained  = 5 // violations with evidence
	maxEvidence   = 80
)

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

// Write writes the violation with its evidence.
func (v *Violation) Write(w io.Writer) error {
	lines := v.Evidence
	if v.truncated {
		lines = append(lines, "…")
	}
	if _, err := fmt.Fprintln(w, strings.Join(append([]string{v.String()}, lines...), "\n  ")); err != nil {
		return fmt.Errorf("write a violation: %w", err)
	}
	return nil
}
