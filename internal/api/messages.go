package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// A messagesPage is a page of a conversation, oldest message first. The messages have the form of
// chat_message frames.
type messagesPage struct {
	Messages []json.RawMessage `json:"messages"`
	HasMore  bool              `json:"has_more"`
}

// messages serves GET /api/conversations/{conversation_id}/messages/.
func (h *history) messages(e *exchange, user *room.User, id string, query url.Values) (any, *failure) {
	conversation, err := room.ParseID(id)
	if err != nil {
		return nil, badField("conversation_id", "must be a UUID")
	}
	before, fail := intParam(query, "before_seq", room.MaxID)
	if fail != nil {
		return nil, fail
	}
	limit, fail := pageSize(query)
	if fail != nil {
		return nil, fail
	}
	r, fail := h.authorize(e, user, conversation)
	if fail != nil {
		return nil, fail
	}
	found, more, err := h.store.Before(e.r.Context(), conversation, before, limit)
	if err != nil {
		return nil, databaseFailure(err)
	}
	page := messagesPage{Messages: make([]json.RawMessage, len(found)), HasMore: more}
	for i := range found {
		page.Messages[i] = frame.AppendMessage(nil, &found[i])
	}
	if user.Role != room.Support {
		e.log.Info(e.component, fmt.Sprintf("User %d read %d messages of conversation %s", user.ID, len(found), conversation))
	} else if n := len(found); n > 0 {
		e.log.Audit("Support read history", slog.Int64("user", int64(user.ID)), slog.String("endpoint", "api"),
			slog.Int64("customer", int64(r.Customer)), slog.Int64("therapist", int64(r.Therapist)),
			slog.Int64("from_seq", found[0].Seq), slog.Int64("to_seq", found[n-1].Seq))
	}
	return page, nil
}

// authorize returns the room of a conversation if the user belongs to it or is support. Others get
// the same failure as for an unknown conversation, so that it does not reveal which ones exist.
func (h *history) authorize(e *exchange, user *room.User, conversation room.ID) (room.Room, *failure) {
	notFound := newFailure(http.StatusNotFound, "no_such_conversation", "The conversation does not exist, or this user may not read it.")
	r, err := h.store.RoomOf(e.r.Context(), conversation)
	switch {
	case errors.Is(err, room.ErrNotFound):
		return r, notFound
	case err != nil:
		return r, databaseFailure(err)
	case user.Role == room.Customer && user.ID == r.Customer, user.Role == room.Therapist && user.ID == r.Therapist, user.Role == room.Support:
		return r, nil
	}
	notFound.cause = fmt.Sprintf("not_your_room, conversation %s of customer %d and therapist %d", conversation, r.Customer, r.Therapist)
	return r, notFound
}
