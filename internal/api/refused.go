package api

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/problem"
	"github.com/roomspa/roomspa/internal/room"
)

// refused is the one place where a request that failed is logged and answered.
func (e *exchange) refused(no *refusal) {
	line := "Refused: " + no.cause
	if e.user != "" {
		line += ", " + e.user
	}
	var attrs []slog.Attr
	if no.err != nil {
		attrs = append(attrs, slog.String("error", no.err.Error()))
		if cause := cause.Of(no.err); cause != "" {
			attrs = append(attrs, slog.String("cause", cause))
		}
	}
	switch {
	case e.r.Context().Err() != nil: // whatever failed, it failed since the client left
		e.log.Warn(e.component, "Client gone: "+no.cause, attrs...)
	case no.Status >= http.StatusInternalServerError && no.cause != "busy" || no.cause == "unreadable_hash":
		e.log.Error(e.component, line, attrs...)
	default:
		e.log.Warn(e.component, line, attrs...)
	}
	if no.Status == http.StatusUnauthorized {
		// RFC 9110 §15.5.2 demands one. Bearer opens no dialogue in a browser.
		e.w.Header().Set("WWW-Authenticate", `Bearer realm="roomspa"`+no.challenge)
	}
	e.write(no.Problem)
}

// unauthorized is the same to the client, whatever the cause.
func unauthorized(cause string, err error) *refusal {
	return &refusal{cause: cause, err: err, Problem: problem.Problem{
		Status: http.StatusUnauthorized, Code: "bad_credentials",
		Detail: "The identifier or the password is wrong, or the account is not active.",
	}}
}

func busy(err error) *refusal {
	return &refusal{cause: "busy", err: err, Problem: problem.Problem{
		Status: http.StatusServiceUnavailable, Code: "busy", RetryAfter: 2 * time.Second,
		Detail: "Too many sign-ins at once; try again after the time in Retry-After.",
	}}
}

// unavailable is the answer to an error of the store, whichever.
func unavailable(err error) *refusal {
	if !errors.Is(err, room.ErrUnavailable) {
		return internal(err)
	}
	return &refusal{cause: "database_unavailable", err: err, Problem: problem.Problem{
		Status: http.StatusServiceUnavailable, Code: "database_unavailable", RetryAfter: 5 * time.Second,
		Detail: "The database cannot be read now; try again after the time in Retry-After.",
	}}
}

func internal(err error) *refusal {
	return &refusal{cause: "internal", err: err, Problem: problem.Problem{
		Status: http.StatusInternalServerError, Code: "internal",
		Detail: "A fault of the server; its log has the cause under the reference.",
	}}
}
