package api

import (
	"fmt"
	"net/http"

	"github.com/roomspa/roomspa/internal/cause"
	failures "github.com/roomspa/roomspa/internal/failure"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/story"
)

// Stories keeps the stories of requests that failed. It does not block. A story does not change
// after it was passed on.
type Stories interface {
	RecordFailed(s *story.Story)
}

// base returns the base of a handler.
func (o *Options) base(component string, kind failures.Kind) base {
	return base{component: component, log: o.log, who: o.Who, kind: kind, failures: o.Failures, stories: o.Stories}
}

// step begins the next step of the story of the request. The one before has succeeded.
func (e *exchange) step(name string) {
	if e.story == nil {
		e.story = story.Begin(e.log.Ref)
	}
	e.story.Enter(name)
}

// identified notes the user of the request.
func (e *exchange) identified(id room.UserID) {
	e.user, e.userID = fmt.Sprintf("user %d", id), id
}

// record records a refused request. It keeps the story if the server is at fault, if the limits
// refuse a sign-in, or if the log says that a page's origin was refused: there may be one for each
// request of each page.
func (e *exchange) record(fail *failure, logged bool) {
	atFault := fail.Status >= http.StatusInternalServerError && (fail.cause != "busy" || e.kind == failures.SignIn)
	if atFault {
		e.failures.Failed(e.kind, fail.Code, fail.err)
	} else {
		e.failures.Refused(e.kind, fail.Code)
	}
	limited := e.kind == failures.SignIn && fail.Status == http.StatusTooManyRequests
	if e.stories == nil || !atFault && !limited && (fail.Code != originRefused || !logged) {
		return
	}
	s := e.story
	if s == nil {
		s = story.Begin(e.log.Ref)
	}
	outcome, detail := story.Refused, fail.cause
	if atFault {
		outcome = story.Failed
	}
	if fail.Code == originRefused {
		detail = fail.Detail
	}
	if fail.err != nil {
		detail = fail.err.Error()
	}
	s.Method, s.Path, s.Remote, s.TraceID = e.r.Method, logging.Path(e.r.URL.EscapedPath()), e.log.Remote, e.log.Trace
	s.User, s.Status = int64(e.userID), fail.Status
	s.Refuse(outcome, 0, fail.Code, cause.Of(fail.err), detail)
	e.stories.RecordFailed(s)
}
