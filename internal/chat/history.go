package chat

import (
	"github.com/roomspa/roomspa/internal/cause"

	"context"
	"encoding/json"
	"log/slog"

	"github.com/roomspa/roomspa/internal/frame"
)

// history answers with a page of what was said before.
func (s *Consumer) history(ctx context.Context, in frame.Client) error {
	messages, more, err := s.chat.store.Before(ctx, s.conversation, in.BeforeSeq, in.Limit)
	if err != nil {
		s.socket.Log().Error(component, "Database error in history: "+err.Error(), slog.String("cause", cause.Of(err)))
		return s.refuse(in, storeInvalid(err))
	}
	page := frame.History{Type: frame.TypeHistory, Messages: make([]json.RawMessage, len(messages)), HasMore: more}
	for i := range messages {
		page.Messages[i] = frame.AppendMessage(nil, &messages[i])
	}
	return s.answer(frame.Encode(page))
}
