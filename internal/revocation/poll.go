package revocation

import (
	"context"
	"slices"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

const (
	// pollInterval is the time between two looks at the users that were changed by SQL. It
	// and checkInterval leave a fifth of the second in which the sockets close.
	pollInterval = 300 * time.Millisecond
	// keepChanges is how long changes are kept, so that every replica finds them.
	keepChanges = time.Minute
)

// changes is how far a replica has read the users that were changed by SQL.
type changes struct {
	since string        // the mark of the last poll
	seen  []room.UserID // the changes of the last poll
	mark  string        // changes before it were read at forgotten, so other replicas have read them too
	at    time.Time     // of mark
}

// poll requests a check of the users that were changed by SQL. A failure is not logged: the
// next poll starts at the same mark, and the store counts it.
func (r *Revoker) poll(ctx context.Context) {
	c := &r.changes
	users, next, err := r.store.ChangedUsers(ctx, c.since)
	if err != nil {
		return
	}
	// While another transaction is under way, each poll returns the same changes.
	if c.since = next; !slices.Equal(users, c.seen) {
		c.seen = users
		r.add(users...)
	}
	if time.Since(c.at) < keepChanges {
		return
	}
	if c.mark == "" || r.store.ForgetUserChanges(ctx, c.mark) == nil {
		c.mark, c.at = next, time.Now()
	}
}
