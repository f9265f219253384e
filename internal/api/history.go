package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/problem"
	"github.com/roomspa/roomspa/internal/room"
)

// Conversations is what reading over HTTP needs of the store. Its errors are
// [room.ErrNotFound] or [room.ErrUnavailable].
type Conversations interface {
	Summaries(ctx context.Context, user room.UserID, behind *room.Place, limit int) ([]room.Summary, bool, error)
	RoomOf(ctx context.Context, conversation room.ID) (room.Room, error)
	Before(ctx context.Context, conversation room.ID, beforeSeq int64, limit int) ([]room.Message, bool, error)
}

// A history answers GET /api/conversations/ and the paths below it. Users read their
// own conversations. Support reads any, and each of its reads is logged.
type history struct {
	base

	store Conversations
	authenticator
}

func (h *history) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ref, remote := h.who(r)
	e := &exchange{w: w, r: r, log: &logging.Conn{Log: h.log, Ref: ref, Remote: remote}, component: h.component}
	answer, no := h.read(e)
	if no != nil {
		e.refused(no)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "private, no-cache") // whoever signs in next must not see it
	header.Add("Vary", "Authorization")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set(problem.Header, ref)
	if _, err := w.Write(append(frame.Encode(answer), '\n')); err != nil {
		e.log.Warn(e.component, "Answer not sent: "+e.user, slog.String("error", err.Error()))
	}
}

// read finds out what is asked for, and by whom. The path is judged before the
// method, the method before the token, the token before the parameters.
func (h *history) read(e *exchange) (any, *refusal) {
	segments, ok := below(e.r.URL.EscapedPath(), "/api/conversations")
	if !ok || len(segments) > 2 || len(segments) == 1 || len(segments) == 2 && segments[1] != "messages" {
		return nil, noSuchPath()
	}
	if no := onlyGet(e.w, e.r); no != nil {
		return nil, no
	}
	user, _, no := h.authenticate(e)
	if no != nil {
		return nil, no
	}
	query, err := url.ParseQuery(e.r.URL.RawQuery)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "bad_query", "The query cannot be read: percent-encode its values.")
	}
	if len(segments) == 0 {
		return h.list(e, user, query)
	}
	return h.messages(e, user, segments[0], query)
}

// whole reads a parameter that is a whole number from 1 to most; 0 stands for one
// that was not given.
func whole(query url.Values, name string, most int64) (int64, *refusal) {
	text := query.Get(name)
	if !query.Has(name) {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || n > most || text[0] == '+' {
		return 0, badField(name, "must be a whole number from 1 to "+strconv.FormatInt(most, 10))
	}
	return n, nil
}

// pageSize reads the parameter limit.
func pageSize(query url.Values) (int, *refusal) {
	n, no := whole(query, "limit", frame.MaxHistoryLimit)
	if n == 0 {
		n = frame.DefaultHistoryLimit
	}
	return int(n), no
}
