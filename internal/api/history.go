package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// Conversations reads conversations. Its errors wrap [room.ErrNotFound] or
// [room.ErrUnavailable].
type Conversations interface {
	// Summaries returns up to limit conversations of a user after the place behind, or the
	// first ones if it is nil, and whether there are more. It returns up to size bytes, but at
	// least one conversation if there is one.
	Summaries(ctx context.Context, user room.UserID, behind *room.Place, limit, size int) ([]room.Summary, bool, error)
	// RoomOf returns the room of a conversation.
	RoomOf(ctx context.Context, conversation room.ID) (room.Room, error)
	// Before returns up to limit messages before beforeSeq, or the newest ones if it is 0,
	// oldest first, and whether there are more. Size bounds them as in Summaries.
	Before(ctx context.Context, conversation room.ID, beforeSeq int64, limit, size int) ([]room.Message, bool, error)
	// Conversation gets or creates the conversation of a room. Unread is that of the user.
	Conversation(ctx context.Context, r room.Room, user room.UserID) (room.Conversation, error)
	// Unread returns the number of messages in all conversations that the user has not read.
	Unread(ctx context.Context, user room.UserID) (int, error)
}

// A history serves GET /api/conversations/ and the paths below it. A user reads their own
// conversations; support reads all of them, and each of its reads is logged.
type history struct {
	base

	store    Conversations
	receipts Receipts
	authenticator
}

func (h *history) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.serve(w, r, func(e *exchange) (any, string, *failure) {
		answer, fail := h.read(e)
		if fail == nil {
			w.Header().Set("Vary", "Origin, Authorization")
		}
		return answer, "", fail
	})
}

// read checks the path, the method and the token, in this order, and then reads what the path
// names.
func (h *history) read(e *exchange) (any, *failure) {
	segments, ok := splitPath(e.r.URL.EscapedPath(), "/api/conversations")
	if ok && len(segments) == 2 && segments[1] == "receipts" {
		return h.mark(e, segments[0])
	}
	if !ok || len(segments) > 2 || len(segments) == 1 || len(segments) == 2 && segments[1] != "messages" {
		return nil, noSuchPath()
	}
	if fail := requireGet(e.w, e.r); fail != nil {
		return nil, fail
	}
	user, _, fail := h.authenticate(e)
	if fail != nil {
		return nil, fail
	}
	if fail := e.visit.startPage(user.ID); fail != nil {
		return nil, fail
	}
	query, err := url.ParseQuery(e.r.URL.RawQuery)
	if err != nil {
		return nil, newFailure(http.StatusBadRequest, "bad_query", "The query is malformed; percent-encode its values.")
	}
	if len(segments) == 0 {
		return h.list(e, user, query)
	}
	return h.messages(e, user, segments[0], query)
}

// intParam returns an integer parameter from 1 to maximum, or 0 if it is absent.
func intParam(query url.Values, name string, maximum int64) (int64, *failure) {
	text := query.Get(name)
	if !query.Has(name) {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || n > maximum || text[0] == '+' {
		return 0, badField(name, "must be an integer from 1 to "+strconv.FormatInt(maximum, 10))
	}
	return n, nil
}

// pageSize returns the parameter limit, or its default.
func pageSize(query url.Values) (int, *failure) {
	n, fail := intParam(query, "limit", frame.MaxHistoryLimit)
	if n == 0 {
		n = frame.DefaultHistoryLimit
	}
	return int(n), fail
}
