package chat

import (
	"context"
	"encoding/json"
	"log/slog"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// history answers with a page of earlier messages.
func (s *Consumer) history(ctx context.Context, in frame.Client) error {
	messages, more, err := s.before(ctx, in)
	if err != nil {
		s.Socket.Log().Error(component, "Database error in history: "+err.Error(), slog.String("cause", cause.Of(err)))
		return s.Refuse(storeInvalid(err), in.ClientMessageID)
	}
	page := frame.History{Type: frame.TypeHistory, Messages: make([]json.RawMessage, len(messages)), HasMore: more}
	for i := range messages {
		page.Messages[i] = frame.AppendMessage(nil, &messages[i])
	}
	return s.Answer(frame.Encode(page))
}

// before reads a page. If there is a reset meanwhile it reads again: the page may be one of
// before.
func (s *Consumer) before(ctx context.Context, in frame.Client) (messages []room.Message, more bool, err error) {
	for {
		s.Mu.Lock()
		resets, conversation := s.resets, s.conversation
		s.Mu.Unlock()
		messages, more, err = s.chat.store.Before(ctx, conversation, in.BeforeSeq, in.Limit)
		s.Mu.Lock()
		unchanged := resets == s.resets
		s.Mu.Unlock()
		if unchanged || err != nil {
			return messages, more, err
		}
	}
}
