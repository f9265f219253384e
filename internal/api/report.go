package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/problem"
	"github.com/roomspa/roomspa/internal/room"
)

const (
	// reportsPerMinute is the limit of attempts of one user, good ones or not.
	reportsPerMinute = 10
	// maxReportBody is the maximum size of a request body in bytes: a text whose code points are
	// all escaped.
	maxReportBody = 52 << 10
)

// Reports stores reports. Its errors wrap [room.ErrNotFound] if there is no such message,
// [room.ErrTooMany], [room.ErrErased] or [room.ErrUnavailable].
type Reports interface {
	AddReport(ctx context.Context, r room.Report) (id int64, err error)
}

// A reporter serves POST /api/reports/.
type reporter struct {
	base

	history *history // finds the room
	reports Reports
	limit   userLimit
}

// A report is the body of a request.
type report struct {
	ConversationID string        `json:"conversation_id"`
	Seq            frame.Integer `json:"seq"`
	Reason         string        `json:"reason"`
	Text           string        `json:"text"`
}

func (p *reporter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.serve(w, r, func(e *exchange) (any, string, *failure) {
		message, fail := p.add(e)
		return nil, message, fail
	})
}

// add returns the line for the log.
func (p *reporter) add(e *exchange) (string, *failure) {
	if fail := requirePost(e.w, e.r); fail != nil {
		return "", fail
	}
	user, _, fail := p.history.authenticate(e)
	if fail != nil {
		return "", fail
	}
	if user.Role == room.Support {
		return "", newFailure(http.StatusForbidden, "wrong_role", "Only the two sides of a conversation can report it.")
	}
	if fail := p.limit.take(e, user.ID); fail != nil {
		return "", fail
	}
	if !e.visit.take(maxReportBody) {
		return "", tooBusy()
	}
	var in report
	if fail := readBody(e.w, e.r, maxReportBody, &in); fail != nil {
		return "", fail
	}
	conversation, fail := in.validate()
	if fail != nil {
		return "", fail
	}
	if _, fail := p.history.authorize(e, user, conversation); fail != nil {
		return "", fail
	}
	id, err := p.reports.AddReport(e.r.Context(), room.Report{Reporter: user.ID, Conversation: conversation, Seq: int64(in.Seq), Reason: in.Reason, Text: in.Text})
	if err != nil {
		return "", reportFailure(err)
	}
	return fmt.Sprintf("Report %d: user %d reported conversation %s", id, user.ID, conversation), nil
}

// validate checks all members, and returns the conversation.
func (r *report) validate() (room.ID, *failure) {
	conversation, err := room.ParseID(r.ConversationID)
	switch {
	case err != nil:
		return conversation, badField("conversation_id", "must be a UUID")
	case r.Seq < 0 || r.Seq > room.MaxID:
		return conversation, badField("seq", "must be the number of a message")
	case r.Reason == "" || !storable(r.Reason, room.MaxReason):
		return conversation, badField("reason", "must be a text of 1 to "+strconv.Itoa(room.MaxReason)+" characters")
	case !storable(r.Text, room.MaxReport):
		return conversation, badField("text", "must be a text of up to "+strconv.Itoa(room.MaxReport)+" characters")
	}
	return conversation, nil
}

// storable reports whether Postgres can store a text, and it has at most limit code points.
func storable(text string, limit int) bool {
	return utf8.RuneCountInString(text) <= limit && strings.IndexByte(text, 0) < 0
}

func reportFailure(err error) *failure {
	switch {
	case errors.Is(err, room.ErrNotFound):
		return newFailure(http.StatusNotFound, "no_such_message", "The conversation has no message with this seq.")
	case errors.Is(err, room.ErrErased):
		return unauthenticated("user_inactive", "The account is not active.")
	case errors.Is(err, room.ErrTooMany):
		return &failure{cause: "too_many_requests reports", Problem: problem.Problem{
			Status: http.StatusTooManyRequests, Code: "too_many_requests", RetryAfter: time.Hour,
			Detail: "More than " + strconv.Itoa(room.ReportsPerDay) + " reports within 24 hours; try again later.",
		}}
	default:
		return databaseFailure(err)
	}
}
