package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/roomspa/roomspa/internal/room"
)

// Append stores a message under the conversation's next number, and returns it
// when it is committed. Where a message of that conversation, sender and
// ClientMessageID exists already, that one is returned, as a duplicate, whatever
// its text.
//
// Messages that one goroutine appends one after the other are in that order. An
// error that is [room.ErrOutcomeUnknown], as it is also when ctx ends, means that
// the message may be stored or still become so: send it again under the same
// ClientMessageID. A conversation that does not exist is [room.ErrNotFound].
func (db *DB) Append(ctx context.Context, conversation room.ID, d room.Draft) (m room.Message, duplicate bool, err error) {
	a, left, err := db.committer.ask(ctx, appending{conversation, d})
	if err == nil {
		return a.message, a.duplicate, nil
	}
	// A batch knows whether it may have been committed; who left it does not.
	if f, ok := errors.AsType[*failure](err); ok && left {
		err = f.unknown()
	}
	return room.Message{}, false, fmt.Errorf("append message to %s: %w", conversation, err)
}
