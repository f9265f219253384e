package chat

import (
	"context"
	"encoding/json"
	"log/slog"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/frame"
)

// history answers with a page of earlier messages.
func (s *Consumer) history(ctx context.Context, in frame.Client) error {
	messages, more, err := s.chat.store.Before(ctx, s.conversationID(), in.BeforeSeq, in.Limit)
	if err != nil {
		s.Socket.Log().Error(component, "Database error in history: "+err.Error(), slog.String("cause", cause.Of(err)))
		return s.Refuse(storeInvalid(err), in.ClientMessageID)
	}
	if n := len(messages); n > 0 {
		endpoint.Audit(s.Socket.Log(), s.role, s.user, s.room, name, "read history",
			slog.Int64("from_seq", messages[0].Seq), slog.Int64("to_seq", messages[n-1].Seq))
	}
	page := frame.History{Type: frame.TypeHistory, Messages: make([]json.RawMessage, len(messages)), HasMore: more}
	for i := range messages {
		page.Messages[i] = frame.AppendMessage(nil, &messages[i])
	}
	return s.Answer(frame.Encode(page))
}
