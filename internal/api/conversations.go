package api

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/problem"
	"github.com/roomspa/roomspa/internal/room"
)

// A conversationsPage is a page of conversations, that with the newest message
// first. Next is what ?before= takes for the page behind it.
type conversationsPage struct {
	Conversations []conversation `json:"conversations"`
	HasMore       bool           `json:"has_more"`
	Next          string         `json:"next,omitempty"`
}

// A conversation has no count of unread messages: how far somebody has read is not
// stored yet, and a count that is made of something else would be wrong.
type conversation struct {
	ID          string          `json:"id"`
	CustomerID  room.UserID     `json:"customer_id"`
	TherapistID room.UserID     `json:"therapist_id"`
	CreatedAt   string          `json:"created_at"`
	LastSeq     int64           `json:"last_seq"`
	LastMessage json.RawMessage `json:"last_message,omitempty"`
}

// list answers GET /api/conversations/.
func (h *history) list(e *exchange, user *room.User, query url.Values) (any, *refusal) {
	whose, no := h.whose(user, query)
	if no != nil {
		return nil, no
	}
	limit, no := pageSize(query)
	if no != nil {
		return nil, no
	}
	var behind *room.Place
	if query.Has("before") {
		place, ok := readPlace(query.Get("before"))
		if !ok {
			return nil, badField("before", "must be the member next of a page that came before")
		}
		behind = &place
	}
	found, more, err := h.store.Summaries(e.r.Context(), whose, behind, limit)
	if err != nil {
		return nil, unavailable(err)
	}
	page := conversationsPage{Conversations: make([]conversation, len(found)), HasMore: more}
	for i := range found {
		page.Conversations[i] = summarize(&found[i])
	}
	if more {
		page.Next = writePlace(found[len(found)-1].Place())
	}
	if user.Role == room.Support {
		e.log.Info(e.component, fmt.Sprintf("Support %d listed %d conversations of user %d", user.ID, len(found), whose))
	} else {
		e.log.Info(e.component, fmt.Sprintf("Listed: %s, %d conversations", e.user, len(found)))
	}
	return page, nil
}

// whose decides whose conversations are listed: one's own; support has none, and
// says whose with ?user_id=.
func (h *history) whose(user *room.User, query url.Values) (room.UserID, *refusal) {
	if !query.Has("user_id") {
		if user.Role == room.Support {
			return 0, badField("user_id", "is missing: support says whose conversations are to be listed")
		}
		return user.ID, nil
	}
	id, ok := room.ParseUserID(query.Get("user_id"))
	if !ok {
		return 0, badField("user_id", "must be a whole number from 1 to 9007199254740991")
	}
	if user.Role != room.Support && id != user.ID {
		return 0, &refusal{cause: "wrong_role", Problem: problem.Problem{
			Status: http.StatusForbidden, Code: "wrong_role", Detail: "Only support may list the conversations of somebody else.",
		}}
	}
	return id, nil
}

func summarize(s *room.Summary) conversation {
	c := conversation{
		ID: s.ID.String(), CustomerID: s.Room.Customer, TherapistID: s.Room.Therapist,
		CreatedAt: s.CreatedAt.UTC().Format(frame.TimeLayout),
	}
	if s.Last != nil {
		c.LastSeq, c.LastMessage = s.Last.Seq, frame.AppendMessage(nil, s.Last)
	}
	return c
}

// writePlace makes an opaque word of a place: microseconds, as Postgres keeps them,
// and the id.
func writePlace(p room.Place) string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 24), uint64(p.At.UnixMicro()))
	return base64.RawURLEncoding.EncodeToString(append(b, p.ID[:]...))
}

func readPlace(s string) (p room.Place, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != 24 {
		return p, false
	}
	p.At = time.UnixMicro(int64(binary.BigEndian.Uint64(b))).UTC()
	copy(p.ID[:], b[8:])
	return p, p.At.Year() >= 1 && p.At.Year() <= 9999 // else Postgres would refuse it
}
