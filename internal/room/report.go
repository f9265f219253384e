package room

import "time"

// The bounds of a report: of its reason and its text, in code points, and of the number of
// reports of one user within 24 hours.
const (
	MaxReason     = 64
	MaxReport     = 4000
	ReportsPerDay = 20
)

// A Report is what one side of a room reports about the conversation.
type Report struct {
	ID           int64
	Reporter     UserID
	Conversation ID
	Seq          int64 // of the message that is meant; 0 for the whole conversation
	Reason       string
	Text         string
	CreatedAt    time.Time
	ClosedAt     time.Time // zero while the report is open
	Resolution   string    // what the operator decided
}
