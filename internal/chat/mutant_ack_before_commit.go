//go:build mutant_ack_before_commit

package chat

import (
	"context"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// save acknowledges what it is about to store.
func (s *Consumer) save(ctx context.Context, in frame.Client, draft room.Draft) error {
	s.mu.Lock()
	seq := s.cursor.latest + 1 // with luck
	s.mu.Unlock()
	full := s.answer(frame.AppendAck(nil, &room.Message{
		ID: room.ID{1}, Conversation: s.conversation, Seq: seq, Sender: s.user, SenderRole: s.role,
		Text: draft.Text, ClientMessageID: draft.ClientMessageID, At: time.Now(),
	}, false))
	m, _, err := s.chat.store.Append(ctx, s.conversation, draft)
	if err != nil {
		s.chat.doubt()
		return s.refuse(in, storeInvalid(err))
	}
	s.publish(&m, false)
	return full
}
