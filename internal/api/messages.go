package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// A messagesPage is a page of a conversation, oldest first, of the same messages as
// on the socket.
type messagesPage struct {
	Messages []json.RawMessage `json:"messages"`
	HasMore  bool              `json:"has_more"`
}

// messages answers GET /api/conversations/{conversation_id}/messages/.
func (h *history) messages(e *exchange, user *room.User, id string, query url.Values) (any, *refusal) {
	conversation, err := room.ParseID(id)
	if err != nil {
		return nil, badField("conversation_id", "must be a uuid")
	}
	before, no := whole(query, "before_seq", room.MaxID)
	if no != nil {
		return nil, no
	}
	limit, no := pageSize(query)
	if no != nil {
		return nil, no
	}
	r, no := h.enter(e, user, conversation)
	if no != nil {
		return nil, no
	}
	found, more, err := h.store.Before(e.r.Context(), conversation, before, limit)
	if err != nil {
		return nil, unavailable(err)
	}
	page := messagesPage{Messages: make([]json.RawMessage, len(found)), HasMore: more}
	for i := range found {
		page.Messages[i] = frame.AppendMessage(nil, &found[i])
	}
	if user.Role == room.Support {
		e.log.Info(e.component, fmt.Sprintf("Support %d read %d messages of conversation %s of customer %d and therapist %d",
			user.ID, len(found), conversation, r.Customer, r.Therapist))
	} else {
		e.log.Info(e.component, fmt.Sprintf("Read: %s, %d messages of conversation %s", e.user, len(found), conversation))
	}
	return page, nil
}

// enter finds the conversation's room and lets in who belongs there, and support.
// To anybody else it does not exist: a refusal must not tell which ones do.
func (h *history) enter(e *exchange, user *room.User, conversation room.ID) (room.Room, *refusal) {
	none := refuse(http.StatusNotFound, "no_such_conversation", "There is no such conversation among those that this user may read.")
	r, err := h.store.RoomOf(e.r.Context(), conversation)
	switch {
	case errors.Is(err, room.ErrNotFound):
		return r, none
	case err != nil:
		return r, unavailable(err)
	case user.Role == room.Customer && user.ID == r.Customer, user.Role == room.Therapist && user.ID == r.Therapist, user.Role == room.Support:
		return r, nil
	}
	none.cause = fmt.Sprintf("not_your_room, conversation %s of customer %d and therapist %d", conversation, r.Customer, r.Therapist)
	return r, none
}
