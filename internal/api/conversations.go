package api

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// A conversationsPage is a page of conversations, the one with the newest message first. Next is
// the parameter before of the next page.
type conversationsPage struct {
	Conversations []conversation `json:"conversations"`
	HasMore       bool           `json:"has_more"`
	Next          string         `json:"next,omitempty"`
}

// A conversation is one as its listed user sees it.
type conversation struct {
	ID           string          `json:"id"`
	CustomerID   room.UserID     `json:"customer_id"`
	TherapistID  room.UserID     `json:"therapist_id"`
	CreatedAt    string          `json:"created_at"`
	LastSeq      int64           `json:"last_seq"`
	DeliveredSeq int64           `json:"delivered_seq"`
	ReadSeq      int64           `json:"read_seq"`
	Unread       int             `json:"unread"`
	LastMessage  json.RawMessage `json:"last_message,omitempty"`
}

// list serves GET /api/conversations/.
func (h *history) list(e *exchange, user *room.User, query url.Values) (any, *failure) {
	whose, fail := h.listedUser(user, query)
	if fail != nil {
		return nil, fail
	}
	limit, fail := pageSize(query)
	if fail != nil {
		return nil, fail
	}
	var behind *room.Place
	if query.Has("before") {
		place, ok := decodePlace(query.Get("before"))
		if !ok {
			return nil, badField("before", "must be the member next of the previous page")
		}
		behind = &place
	}
	found, more, err := h.store.Summaries(e.r.Context(), whose, behind, limit, frame.MaxPage)
	if err != nil {
		return nil, databaseFailure(err)
	}
	page := makeConversationsPage(found, more)
	if user.Role == room.Support {
		e.log.Audit("Support listed conversations", slog.Int64("user", int64(user.ID)), slog.String("endpoint", "api"),
			slog.Int64("of_user", int64(whose)), slog.Int("conversations", len(page.Conversations)))
	} else {
		e.log.Info(e.component, fmt.Sprintf("Listed: %s, %d conversations", e.user, len(page.Conversations)))
	}
	return page, nil
}

// makeConversationsPage returns the page of found. It leaves out the last ones if the page would
// exceed frame.MaxPage.
func makeConversationsPage(found []room.Summary, more bool) conversationsPage {
	page := conversationsPage{Conversations: make([]conversation, 0, len(found)), HasMore: more}
	size := 0
	for i := range found {
		c := summarize(&found[i])
		if size += len(c.LastMessage) + 256; size > frame.MaxPage && i > 0 {
			page.HasMore = true
			break
		}
		page.Conversations = append(page.Conversations, c)
	}
	if page.HasMore {
		page.Next = encodePlace(found[len(page.Conversations)-1].Place())
	}
	return page
}

// listedUser returns the user whose conversations are listed: the user of the request, or for
// support, who has no conversations, the parameter user_id.
func (h *history) listedUser(user *room.User, query url.Values) (room.UserID, *failure) {
	if !query.Has("user_id") {
		if user.Role == room.Support {
			return 0, badField("user_id", "is missing: support must name the user whose conversations to list")
		}
		return user.ID, nil
	}
	id, ok := room.ParseUserID(query.Get("user_id"))
	if !ok {
		return 0, badField("user_id", "must be an integer from 1 to 9007199254740991")
	}
	if user.Role != room.Support && id != user.ID {
		return 0, newFailure(http.StatusForbidden, "wrong_role", "Only support may list the conversations of other users.")
	}
	return id, nil
}

func summarize(s *room.Summary) conversation {
	c := conversation{
		ID: s.ID.String(), CustomerID: s.Room.Customer, TherapistID: s.Room.Therapist,
		CreatedAt:    s.CreatedAt.UTC().Format(frame.TimeLayout),
		DeliveredSeq: s.Cursor.Delivered, ReadSeq: s.Cursor.Read, Unread: s.Unread,
	}
	if s.Last != nil {
		c.LastSeq, c.LastMessage = s.Last.Seq, frame.AppendMessage(nil, s.Last)
	}
	return c
}

// encodePlace returns an opaque form of a place: the time in microseconds, which is the precision
// of Postgres, and the id.
func encodePlace(p room.Place) string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 24), uint64(p.At.UnixMicro()))
	return base64.RawURLEncoding.EncodeToString(append(b, p.ID[:]...))
}

func decodePlace(s string) (p room.Place, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != 24 {
		return p, false
	}
	p.At = time.UnixMicro(int64(binary.BigEndian.Uint64(b))).UTC()
	copy(p.ID[:], b[8:])
	return p, p.At.Year() >= 1 && p.At.Year() <= 9999 // Postgres refuses other years
}
