package ops

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/roomspa/roomspa/internal/inspect"
	"github.com/roomspa/roomspa/internal/problem"
)

// OperatorHeader is the header in which a command names its user, for the log.
const OperatorHeader = "Roomspa-Operator"

// methods are the methods of the paths that take others than GET.
var methods = map[string]string{
	"/debug/log":   "GET, HEAD, POST, DELETE",
	"/debug/close": "POST",
	"/debug/trace": "GET",
}

// inspections returns the handlers of what the inspector knows of the fleet.
func (o *Options) inspections() map[string]http.Handler {
	i := o.Inspector
	return map[string]http.Handler{
		"/debug/connections": inspection(inspect.ParseConnections, i.Connections),
		"/debug/top":         inspection(inspect.ParseTop, i.Top),
		"/debug/close":       inspection(inspect.ParseClose, i.Close),
		"/debug/trace":       http.HandlerFunc(o.trace),
		"/debug/log": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.Method {
			case http.MethodPost:
				inspection(inspect.ParseRule, i.Raise).ServeHTTP(w, r)
			case http.MethodDelete:
				inspection(inspect.ParseRuleID, i.EndRule).ServeHTTP(w, r)
			default:
				inspection(inspect.ParseNothing, func(ctx context.Context, _ struct{}, by string) (inspect.Rules, error) {
					return i.Rules(ctx, by)
				}).ServeHTTP(w, r)
			}
		}),
	}
}

// inspection returns a handler that reads the parameters of a query and answers it.
func inspection[Q, T any](parse func(url.Values) (Q, error), do func(context.Context, Q, string) (T, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, err := parse(r.URL.Query())
		if err != nil {
			badParameter(err).Write(w)
			return
		}
		answer, err := do(r.Context(), q, operator(r))
		if err != nil {
			inspectionProblem(err).Write(w)
			return
		}
		write(w, http.StatusOK, answer)
	})
}

// operator returns who asks.
func operator(r *http.Request) string {
	return inspect.By(r.RemoteAddr, r.Header.Get(OperatorHeader))
}

func badParameter(err error) *problem.Problem {
	return &problem.Problem{Status: http.StatusBadRequest, Code: "bad_parameter", Title: "Bad parameter", Detail: err.Error()}
}

func inspectionProblem(err error) *problem.Problem {
	if bad, ok := errors.AsType[*inspect.BadRequest](err); ok {
		return badParameter(bad)
	}
	if errors.Is(err, inspect.ErrBusy) {
		return &problem.Problem{Status: http.StatusServiceUnavailable, Code: "busy", Detail: err.Error(), RetryAfter: time.Second}
	}
	return &problem.Problem{Status: http.StatusInternalServerError, Code: "internal", Detail: err.Error()}
}

// traceWrite is the timeout for writing some lines of a trace.
const traceWrite = 10 * time.Second

// trace answers with the lines of a trace as they come, one JSON object a line.
func (o *Options) trace(w http.ResponseWriter, r *http.Request) {
	q, err := inspect.ParseTrace(r.URL.Query())
	if err != nil {
		badParameter(err).Write(w)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go func() {
		select {
		case <-o.Stopping:
			cancel() // a shutdown waits for every request
		case <-ctx.Done():
		}
	}()
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // that of the head would end the request
	begun := false
	err = o.Inspector.Trace(ctx, q, operator(r), func(lines []inspect.Line) error {
		if !begun {
			begun = true
			w.Header().Set("Content-Type", "application/x-ndjson")
			w.Header().Set("Cache-Control", "no-store")
		}
		_ = control.SetWriteDeadline(time.Now().Add(traceWrite))
		e := json.NewEncoder(w)
		for i := range lines {
			if err := e.Encode(&lines[i]); err != nil {
				return err //nolint:wrapcheck // the reader has left
			}
		}
		return control.Flush() //nolint:wrapcheck // as above
	})
	if err != nil && !begun {
		inspectionProblem(err).Write(w)
	}
}
