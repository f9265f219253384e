package chat

import (
	"context"

	"github.com/roomspa/roomspa/internal/room"
)

// errBlocked refuses the messages of a sender whom the other side has blocked. It is final.
var errBlocked = &room.Invalid{Code: "blocked", Detail: "the other side has blocked this user; the message was not stored"}

// watchBlocks loads the blocks of the room.
func (s *Consumer) watchBlocks(ctx context.Context) error {
	if s.chat.options.Blocks == nil {
		return nil
	}
	pair, err := s.chat.options.Blocks.Watch(ctx, s.room)
	s.pair.Store(pair)
	return err //nolint:wrapcheck // the store has named the operation
}

// quiet reports whether one side has blocked the other one, so that neither may learn anything
// of the other but messages: typing and presence are not passed on. It is false until Open. It
// does not block, and may be called concurrently.
func (s *Consumer) quiet() bool { return s.pair.Load().Any() }
