package api

import (
	"encoding/json"
	"log/slog"
	"net/http"

	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/problem"
)

// A base is what every handler has.
type base struct {
	component string // as in the log: Login
	log       *slog.Logger
	who       Who
}

// serve lets do answer a request: with an answer that nobody may keep, nil for
// none, and what the log says of it; or with a refusal.
func (b base) serve(w http.ResponseWriter, r *http.Request, do func(*exchange) (answer any, said string, no *refusal)) {
	ref, remote := b.who(r)
	e := &exchange{w: w, r: r, log: &logging.Conn{Log: b.log, Ref: ref, Remote: remote}, component: b.component}
	answer, said, no := do(e)
	if no != nil {
		e.refused(no)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store") // RFC 6749 §5.1
	h.Set(problem.Header, ref)
	if answer == nil {
		w.WriteHeader(http.StatusNoContent)
	} else {
		h.Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			e.log.Warn(e.component, "Answer not sent: "+e.user, slog.String("error", err.Error()))
			return
		}
	}
	e.log.Info(e.component, said)
}
