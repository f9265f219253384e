package api

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// messages serves GET /api/conversations/{conversation_id}/messages/: a page of a conversation,
// oldest message first. The messages have the form of chat_message frames.
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
	found, more, err := h.store.Before(e.r.Context(), conversation, before, limit, frame.MaxPage)
	if err != nil {
		return nil, databaseFailure(err)
	}
	page, n := frame.EncodeMessages(found, more)
	if user.Role != room.Support {
		e.log.Info(e.component, fmt.Sprintf("User %d read %d messages of conversation %s", user.ID, n, conversation))
	} else if n > 0 {
		sent := found[len(found)-n:]
		e.log.Audit("Support read history", slog.Int64("user", int64(user.ID)), slog.String("endpoint", "api"),
			slog.Int64("customer", int64(r.Customer)), slog.Int64("therapist", int64(r.Therapist)),
			slog.Int64("from_seq", sent[0].Seq), slog.Int64("to_seq", sent[n-1].Seq))
	}
	return encodedAnswer(page), nil
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
