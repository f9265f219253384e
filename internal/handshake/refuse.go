package handshake

import (
	"cmp"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/endpoint"
	"github.com/roomspa/roomspa/internal/failure"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/problem"
	"github.com/roomspa/roomspa/internal/session"
	"github.com/roomspa/roomspa/internal/story"
)

// refuse ends an upgraded attempt. It is the one place where an error becomes a log
// line, a metric, a frame and a close code.
func (a *attempt) refuse(err error) {
	step := a.story.Last()
	r, ok := errors.AsType[*endpoint.Rejection](err)
	if !ok {
		r = &endpoint.Rejection{Line: "Connection rejected - " + err.Error()}
		if r.Close, ok = errors.AsType[*frame.Close](err); !ok {
			r.Close = &frame.Close{Code: frame.CodeInternal, Reason: "internal", Cause: err}
		}
	}
	attrs := []slog.Attr{
		slog.Int("code", r.Close.Code), slog.String("reason", r.Close.Reason),
		slog.String("step", step.Name), slog.Duration("took", step.Took.Round(time.Microsecond)),
	}
	outcome, line := story.Refused, a.log.Warn
	if r.Close.Code == frame.CodeInternal {
		outcome, line = story.Failed, a.log.Error
	}
	if cause := cause.Of(err); cause != "" {
		r.Cause = cause
		attrs = append(attrs, slog.String("cause", cause))
	}
	// A client that has shown no valid token must not fill the log.
	logged := outcome == story.Failed || a.peer.User != nil || r.Close.Code == frame.CodeForbidden || a.log.AllowStranger(cmp.Or(r.Cause, r.Close.Reason))
	if logged {
		a.log.Release()
		line(cmp.Or(r.Component, a.endpoint.Component), r.Line, attrs...)
	} else {
		a.log.Mute()
	}
	if logged && r.Component == middleware { // the lines of a connection end with the endpoint's
		a.logAttempt()
		if r.Close.Code == frame.CodeIdentity {
			line(a.endpoint.Component, "Connection rejected - user not authenticated", attrs...)
		}
	}
	a.log.Note(a.endpoint.Component, "Handshake refused", attrs...)
	a.server.metrics.count(a.endpoint.Name, outcome, r.Close.Reason, a.began, a.log)
	if word := cmp.Or(r.Cause, r.Close.Reason); outcome == story.Failed || word == "busy" && !a.endpoint.Anonymous {
		a.server.options.Failures.Failed(failure.Handshake, word, err)
	} else {
		a.server.options.Failures.Refused(failure.Handshake, word)
	}
	detail := cmp.Or(r.Report, r.Close.Detail)
	if detail == "" && r.Close.Cause != nil {
		detail = r.Close.Cause.Error()
	}
	a.story.Refuse(outcome, r.Close.Code, r.Close.Reason, r.Cause, detail)
	a.server.options.Stories.RecordFailed(a.story)
	if r.Close.Code == frame.CodeIdentity {
		_ = a.server.options.Limits.SlowDownRefusal(a.server.ctx, a.log.Remote) // the session ends with the server too
	}
	a.socket.Refuse(r.Close)
}

// refuseHTTP refuses a request that is not upgraded.
func (s *Server) refuseHTTP(w http.ResponseWriter, log *logging.Conn, st *story.Story, p *problem.Problem) {
	p.Ref = log.Ref
	w.Header().Set("Vary", "Origin")
	switch p.Status {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodGet)
	case http.StatusUpgradeRequired: // RFC 9110 §15.5.22, RFC 6455 §4.4
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Sec-WebSocket-Version", "13")
	case http.StatusServiceUnavailable:
		p.RetryAfter = time.Second + rand.N(4*time.Second)
	}
	if log.AllowStranger(p.Code) {
		log.Warn("Handshake", "Refused before the upgrade: "+strconv.Itoa(p.Status)+" "+p.Code,
			slog.String("path", st.Path), slog.String("detail", p.Detail))
	}
	s.metrics.count(cmp.Or(st.Endpoint, "none"), "refused", "http_"+strconv.Itoa(p.Status), st.Began, log)
	if p.Detail == unavailable(session.ConnectionLimit).Detail || p.Detail == unavailable(session.MemoryLimit).Detail {
		s.options.Failures.Failed(failure.Handshake, "busy", errors.New(p.Detail))
	} else {
		s.options.Failures.Refused(failure.Handshake, p.Code)
	}
	st.Status = p.Status
	st.Refuse(story.Refused, 0, p.Code, "", p.Detail)
	s.options.Stories.RecordFailed(st)
	p.Write(w)
}

// busy returns the close that asks a client to come back, after a random delay so
// that clients do not come back together.
func busy(why session.Limit) *frame.Close {
	return &frame.Close{
		Code: frame.CodeTryLater, Reason: "busy", Detail: string(why) + "; come back later",
		After: time.Second + rand.N(4*time.Second),
	}
}
