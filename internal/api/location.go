package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/problem"
	"github.com/roomspa/roomspa/internal/room"
)

const (
	// maxPositions is the maximum number of positions in a request.
	maxPositions = 100
	// maxPositionsBody is the maximum size of their body in bytes.
	maxPositionsBody = 64 << 10
	// positionsPerMinute is the limit of requests of one user.
	positionsPerMinute = 600
)

// Positions passes positions on. See location.Reporter.
type Positions interface {
	// Report takes the JSON texts of positions. Its errors are a *[room.Invalid], or wrap
	// [room.ErrUnavailable], and [room.ErrChannelLayer] if that is what is unavailable.
	Report(ctx context.Context, in room.Room, by *room.User, positions [][]byte, log *logging.Conn) (room.PositionReport, error)
}

// A locator serves POST /api/location/{customer_id}/{therapist_id}/: what a position on a socket
// does, for services in the background that hold no socket.
type locator struct {
	base
	authenticator

	positions Positions
	limit     userLimit
}

// A positionsAnswer is the report of a request that was not refused as a whole.
type positionsAnswer struct {
	Accepted int               `json:"accepted"`
	Outdated int               `json:"outdated"`
	Refused  []refusedPosition `json:"refused,omitempty"`
}

type refusedPosition struct {
	Index  int    `json:"index"`
	Code   string `json:"code"`
	Field  string `json:"field,omitempty"`
	Detail string `json:"detail"`
}

func (l *locator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.serve(w, r, func(e *exchange) (any, string, *failure) {
		answer, fail := l.report(e)
		return answer, "", fail
	})
}

func (l *locator) report(e *exchange) (any, *failure) {
	segments, ok := splitPath(e.r.URL.EscapedPath(), "/api/location")
	if !ok || len(segments) != 2 {
		return nil, noSuchPath()
	}
	if fail := requirePost(e.w, e.r); fail != nil {
		return nil, fail
	}
	user, _, fail := l.authenticate(e)
	if fail != nil {
		return nil, fail
	}
	in, fail := l.enter(e, user, segments)
	if fail != nil {
		return nil, fail
	}
	if fail := l.limit.take(e, user.ID); fail != nil {
		return nil, fail
	}
	if !e.visit.take(2 * maxPositionsBody) {
		return nil, tooBusy()
	}
	texts, fail := readPositions(e)
	if fail != nil {
		return nil, fail
	}
	report, err := l.positions.Report(e.r.Context(), in, user, texts, e.log)
	if err != nil {
		return nil, positionFailure(err)
	}
	if report.Accepted+report.Outdated == 0 {
		return nil, invalidPosition(&report.Refused[0].Invalid)
	}
	answer := positionsAnswer{Accepted: report.Accepted, Outdated: report.Outdated}
	for _, r := range report.Refused {
		answer.Refused = append(answer.Refused, refusedPosition{r.Index, r.Code, r.Field, r.Detail})
	}
	return answer, nil
}

// enter returns the room of a path, which the user must be allowed to enter.
func (l *locator) enter(e *exchange, user *room.User, segments []string) (in room.Room, fail *failure) {
	for i, id := range []*room.UserID{&in.Customer, &in.Therapist} {
		var ok bool
		if *id, ok = room.ParseUserID(segments[i]); !ok {
			return in, badField([]string{"customer_id", "therapist_id"}[i], "must be an integer from 1 to 9007199254740991")
		}
	}
	known, err := l.users.Users(e.r.Context(), []room.UserID{in.Customer, in.Therapist})
	if err != nil {
		return in, databaseFailure(err)
	}
	if d := room.MayEnter(user, in, func(id room.UserID) *room.User { return known[id] }); d != nil {
		return in, newFailure(http.StatusForbidden, d.Reason, d.Detail(user)+".")
	}
	return in, nil
}

// readPositions returns the JSON texts of the positions in the body.
func readPositions(e *exchange) ([][]byte, *failure) {
	var in struct {
		Positions *[]json.RawMessage `json:"positions"`
	}
	body, fail := receiveJSON(e.w, e.r, maxPositionsBody)
	if fail == nil {
		body = frame.NullNaN(body)
		fail = decode(body, &in)
	}
	switch {
	case fail != nil:
		return nil, fail
	case in.Positions == nil:
		return [][]byte{body}, nil
	case len(*in.Positions) == 0 || len(*in.Positions) > maxPositions:
		return nil, badField("positions", "must have 1 to 100 positions")
	}
	var texts [][]byte
	for _, text := range *in.Positions {
		texts = append(texts, text)
	}
	return texts, nil
}

// positionFailure returns the failure for an error of [Positions].
func positionFailure(err error) *failure {
	bad, ok := errors.AsType[*room.Invalid](err)
	switch {
	case ok:
		return newFailure(http.StatusForbidden, bad.Code, bad.Detail+".")
	case errors.Is(err, room.ErrChannelLayer):
		return redisUnavailable(err)
	default:
		return databaseFailure(err)
	}
}

// invalidPosition returns the failure for a request without a valid position.
func invalidPosition(bad *room.Invalid) *failure {
	fail := &failure{cause: bad.Code, Problem: problem.Problem{Status: http.StatusBadRequest, Code: bad.Code, Detail: bad.Detail + "."}}
	if bad.Field != "" {
		fail.cause += " " + bad.Field
		fail.More = map[string]any{"field": bad.Field}
	}
	return fail
}
