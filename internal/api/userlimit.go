package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/roomspa/roomspa/internal/problem"
	"github.com/roomspa/roomspa/internal/room"
)

// A userLimit limits the requests of one kind of each user.
type userLimit struct {
	throttle  Throttle // nil means no limit
	kind      string
	perMinute int
}

// take counts a request. While Redis is unavailable nothing is limited: what is limited here
// writes little, and must work then.
func (l userLimit) take(e *exchange, user room.UserID) *failure {
	if l.throttle == nil {
		return nil
	}
	full, wait, err := l.throttle.Take(e.r.Context(), []string{l.kind + ":" + strconv.FormatInt(int64(user), 10)}, []int{l.perMinute})
	if err != nil || full < 0 {
		return nil
	}
	return &failure{cause: "too_many_requests " + l.kind, Problem: problem.Problem{
		Status: http.StatusTooManyRequests, Code: "too_many_requests", RetryAfter: max(wait, time.Second),
		Detail: "Too many requests of this kind within a minute; try again after the time in Retry-After.",
	}}
}
