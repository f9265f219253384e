package api

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/problem"
	"github.com/roomspa/roomspa/internal/room"
)

// reject logs a failure and sends it. No other function does.
func (e *exchange) reject(fail *failure) {
	line := "Refused: " + fail.cause
	if e.user != "" {
		line += ", " + e.user
	}
	var attrs []slog.Attr
	if fail.err != nil {
		attrs = append(attrs, slog.String("error", fail.err.Error()))
		if cause := cause.Of(fail.err); cause != "" {
			attrs = append(attrs, slog.String("cause", cause))
		}
	}
	gone := e.r.Context().Err() != nil
	if gone { // it failed for this reason
		line = "Client gone: " + fail.cause
	}
	isError := !gone && (fail.Status >= http.StatusInternalServerError && fail.cause != "busy" || fail.cause == "unreadable_hash")
	logged := isError || e.signedIn || e.log.AllowStranger(fail.Code)
	if !gone {
		e.record(fail, logged)
	}
	switch {
	case isError:
		e.log.Error(e.component, line, attrs...)
	case logged:
		e.log.Warn(e.component, line, attrs...)
	}
	if fail.Status == http.StatusUnauthorized {
		// RFC 9110 §15.5.2 requires a challenge. Bearer opens no dialog in browsers.
		e.w.Header().Set("WWW-Authenticate", `Bearer realm="roomspa"`+fail.challenge)
	}
	fail.Ref = e.log.Ref
	if fail.body == nil {
		fail.Write(e.w)
		return
	}
	h := e.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set(problem.Header, fail.Ref)
	if fail.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(fail.RetryAfter.Seconds())))
	}
	e.w.WriteHeader(fail.Status)
	_ = problem.Send(e.w, frame.Encode(fail.body)) // fails only if the client is gone
}

// badCredentials returns the same problem to the client for every cause.
func badCredentials(cause string, err error) *failure {
	return &failure{cause: cause, err: err, Problem: problem.Problem{
		Status: http.StatusUnauthorized, Code: "bad_credentials",
		Detail: "The identifier or the password is wrong, or the account is not active.",
	}}
}

func busy(err error) *failure {
	return &failure{cause: "busy", err: err, Problem: problem.Problem{
		Status: http.StatusServiceUnavailable, Code: "busy", RetryAfter: 2 * time.Second,
		Detail: "Too many sign-ins at the same time; try again after the time in Retry-After.",
	}}
}

// databaseFailure returns the failure for an error of Postgres.
func databaseFailure(err error) *failure {
	if !errors.Is(err, room.ErrUnavailable) {
		return internalFailure(err)
	}
	return &failure{cause: "database_unavailable", err: err, Problem: problem.Problem{
		Status: http.StatusServiceUnavailable, Code: "database_unavailable", RetryAfter: 5 * time.Second,
		Detail: cause.Describe(err, "The database is unavailable; try again after the time in Retry-After."), More: causeMember(err),
	}}
}

// causeMember returns the extension member cause of the problem document: the word of the cause.
func causeMember(err error) map[string]any {
	word := cause.Of(err)
	if word == "" {
		return nil
	}
	return map[string]any{"cause": word}
}

func internalFailure(err error) *failure {
	return &failure{cause: "internal", err: err, Problem: problem.Problem{
		Status: http.StatusInternalServerError, Code: "internal",
		Detail: "Server error. The log has the cause under this reference.",
	}}
}
