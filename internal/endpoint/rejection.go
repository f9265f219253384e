package endpoint

import (
	"context"
	"errors"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// A Rejection is the error that ends a handshake: the close for the client, and the
// line for the log.
type Rejection struct {
	Close *frame.Close
	Line  string
	// Component writes the line; empty for the endpoint's own.
	Component string
	// Cause is the more exact word below Close.Reason, if there is one.
	Cause string
	// Report is what the story keeps in place of Close.Detail, which the client gets. It may be empty.
	Report string
}

func (r *Rejection) Error() string { return r.Line }

// Unwrap returns the close.
func (r *Rejection) Unwrap() error { return r.Close }

// DatabaseError returns the rejection for a database operation that failed.
func DatabaseError(operation string, err error) *Rejection {
	c := &frame.Close{Code: frame.CodeInternal, Reason: "internal", Cause: err}
	if errors.Is(err, room.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		c.Reason = "database_unavailable"
	}
	return &Rejection{Close: c, Line: "Database error in " + operation + ": " + err.Error()}
}
