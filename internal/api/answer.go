package api

import (
	"log/slog"
	"net/http"
	"strconv"

	failures "github.com/roomspa/roomspa/internal/failure"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/problem"
)

// A base holds what all handlers need.
type base struct {
	component string // name in log lines, for example Login
	log       *slog.Logger
	who       Who
	kind      failures.Kind // of the requests
	failures  *failures.Log // may be nil
	stories   Stories       // may be nil
}

func (b base) exchange(w http.ResponseWriter, r *http.Request) *exchange {
	ref, remote := b.who(r)
	visit, _ := r.Context().Value(visitKey{}).(*visit)
	return &exchange{
		w: w, r: r, visit: visit, base: b,
		log: &logging.Conn{Log: b.log, Ref: ref, Remote: remote, Trace: logging.TraceID(r.Header.Get("Traceparent"))},
	}
}

// An encodedAnswer is an answer that is JSON already.
type encodedAnswer []byte

// serve answers a request with the result of do: an answer, or nil for an empty response, or a
// failure. It logs message after it has sent the answer, unless message is empty. No cache may
// store the response: the next user must not see it.
func (b base) serve(w http.ResponseWriter, r *http.Request, do func(*exchange) (answer any, message string, fail *failure)) {
	e := b.exchange(w, r)
	b.failures.Attempt(b.kind)
	answer, message, fail := do(e)
	if fail != nil {
		e.reject(fail)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store") // RFC 6749 §5.1, RFC 9111 §5.2.2.5
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set(problem.Header, e.log.Ref)
	if answer == nil {
		w.WriteHeader(http.StatusNoContent)
	} else {
		body, encoded := answer.(encodedAnswer)
		if !encoded {
			body = frame.Encode(answer)
		}
		body = append(body, '\n')
		h.Set("Content-Type", "application/json")
		h.Set("Content-Length", strconv.Itoa(len(body)))
		if err := problem.Send(w, body); err != nil {
			if e.signedIn || e.log.AllowStranger("answer_not_sent") {
				e.log.Warn(e.component, "Answer not sent: "+e.user, slog.String("error", err.Error()))
			}
			return
		}
	}
	if message != "" {
		e.log.Info(e.component, message)
	}
}
