package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/roomspa/roomspa/internal/room"
)

// Append stores a message under the next number of the conversation, and returns it
// once it is committed. If the conversation already has a message of the sender with
// the same ClientMessageID, Append returns that message as a duplicate, whatever its
// text.
//
// Messages that one goroutine appends one after the other keep their order. After a
// [room.ErrOutcomeUnknown], which is also returned when ctx ends, the message may be
// stored now or later: send it again with the same ClientMessageID. Append returns
// [room.ErrNotFound] if there is no such conversation.
func (db *DB) Append(ctx context.Context, conversation room.ID, d room.Draft) (m room.Message, duplicate bool, err error) {
	r, pending, err := db.commits.call(ctx, appendArg{conversation, d})
	if err == nil {
		return r.message, r.duplicate, nil
	}
	// A served request says itself whether its outcome is unknown.
	if f, ok := errors.AsType[*failure](err); ok && pending {
		err = f.withUnknownOutcome()
	}
	return room.Message{}, false, fmt.Errorf("append message to %s: %w", conversation, err)
}
