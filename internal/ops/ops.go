// Package ops serves the ops listener: liveness, readiness, metrics, stories and
// profiles. It must never be reachable through the ingress.
package ops

import (
	"cmp"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/pprof"
	runtimepprof "runtime/pprof"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/console"
	"github.com/roomspa/roomspa/internal/failure"
	"github.com/roomspa/roomspa/internal/inspect"
	"github.com/roomspa/roomspa/internal/problem"
	"github.com/roomspa/roomspa/internal/story"
)

// Options are the sources of what the ops listener shows.
type Options struct {
	Replica  string
	Version  string
	Monitor  *Monitor
	Draining func() bool
	Gatherer prometheus.Gatherer
	Stories  *story.Recorder
	IdleCuts func() any   // report of /debug/closes, encoded as JSON
	Failures *failure.Log // of this replica; may be nil
	// Findings returns problems that keep the replica from nothing, beside the warnings of the
	// checks. Their causes are those of package cause. Nil if there are none.
	Findings func() []error
	Token    func() string    // that /debug/ requires; empty means that only this host may read it
	Console  *console.Console // nil means none. It needs no token: it has what every release has, and asks /debug/.

	Inspector *inspect.Inspector // looks into the fleet; nil: nobody can
	Stopping  <-chan struct{}    // closed when the replica stops
}

// A Readiness is the answer of /readyz.
type Readiness struct {
	Ready    bool     `json:"ready"`
	Replica  string   `json:"replica"`
	Version  string   `json:"version"`
	Draining bool     `json:"draining,omitempty"`
	Checks   []Result `json:"checks"`

	Failures []failure.Summary `json:"failures"` // of the last ten minutes
	Warnings []Warning         `json:"warnings"`
}

// A Warning is a problem that does not keep the replica from being ready.
type Warning struct {
	Cause  string `json:"cause"`
	Text   string `json:"text"`
	Advice string `json:"advice"`
}

// New returns the handler of the ops listener. It matches raw paths, with or without a
// trailing slash, and never redirects: a Kubernetes probe counts a redirect as success.
func New(o Options) http.Handler {
	handlers := map[string]http.Handler{
		"/livez": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			// It checks no dependency: their outage must not restart replicas.
			write(w, http.StatusOK, map[string]any{"live": true, "replica": o.Replica, "version": o.Version})
		}),
		"/readyz":  http.HandlerFunc(o.readyz),
		"/metrics": promhttp.HandlerFor(o.Gatherer, promhttp.HandlerOpts{EnableOpenMetrics: true}),
		"/debug/closes": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			write(w, http.StatusOK, o.IdleCuts())
		}),
		"/debug/pprof": http.HandlerFunc(profiles),
		"/debug/pprof/cmdline": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			write(w, http.StatusOK, "The command line is not shown: it may contain secrets.")
		}),
		"/debug/pprof/profile": http.HandlerFunc(pprof.Profile),
		"/debug/pprof/symbol":  http.HandlerFunc(pprof.Symbol),
		"/debug/pprof/trace":   http.HandlerFunc(pprof.Trace),
	}
	if o.Inspector != nil {
		maps.Copy(handlers, o.inspections())
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimSuffix(r.URL.EscapedPath(), "/")
		handler := handlers[path]
		if o.Console != nil && o.Console.Serves(r.URL.EscapedPath()) {
			handler = o.Console
		}
		if ref, below := strings.CutPrefix(path, "/debug/stories/"); below {
			handler = o.story(ref)
		}
		if name, below := strings.CutPrefix(path, "/debug/pprof/"); below && handler == nil && runtimepprof.Lookup(name) != nil {
			handler = pprof.Handler(name)
		}
		allowed := cmp.Or(methods[path], "GET, HEAD")
		var refused *problem.Problem
		if path == "/debug" || strings.HasPrefix(path, "/debug/") {
			refused = o.refuse(r)
		}
		switch {
		case refused != nil:
			if refused.Status == http.StatusUnauthorized { // RFC 9110 §15.5.2
				w.Header().Set("WWW-Authenticate", `Bearer realm="roomspa ops"`)
			}
			refused.Write(w)
		case handler == nil:
			problem.Problem{
				Status: http.StatusNotFound, Code: "no_such_path", Detail: "The ops listener serves the paths in the member paths.",
				More: map[string]any{"paths": []string{"/livez", "/readyz", "/metrics", "/debug/stories/{ref}", "/debug/closes", "/debug/connections", "/debug/top", "/debug/log", "/debug/trace", "/debug/close", "/debug/pprof/"}},
			}.Write(w)
		case !slices.Contains(strings.Split(allowed, ", "), r.Method):
			w.Header().Set("Allow", allowed)
			problem.Problem{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Detail: "This path takes " + allowed + "."}.Write(w)
		default:
			handler.ServeHTTP(w, r)
		}
	})
}

// profiles lists the profiles. The links on the page are relative to the path with a
// trailing slash.
func profiles(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/") {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, `<base href="pprof/">`+"\n") // fails only if the reader has gone
	}
	pprof.Index(w, r)
}

func (o *Options) readyz(w http.ResponseWriter, r *http.Request) {
	results, ok := o.Monitor.Check(r.Context())
	answer := Readiness{
		Ready: ok, Replica: o.Replica, Version: o.Version, Checks: results, Failures: o.Failures.Recent(), Warnings: o.warnings(results),
	}
	if o.Draining() {
		answer.Ready, answer.Draining = false, true
	}
	status := http.StatusOK
	if !answer.Ready {
		status = http.StatusServiceUnavailable
	}
	write(w, status, answer)
}

// warnings returns the warnings of the checks, then the other findings, each once.
func (o *Options) warnings(results []Result) []Warning {
	all := []Warning{}
	add := func(w Warning) {
		if !slices.Contains(all, w) {
			all = append(all, w)
		}
	}
	for _, r := range results {
		if r.Warning != "" {
			add(Warning{r.Cause, r.Warning, r.Advice})
		}
	}
	found := o.Failures.Findings()
	if o.Findings != nil {
		found = append(o.Findings(), found...)
	}
	for _, err := range found {
		word := cause.Of(err)
		add(Warning{word, err.Error(), cause.Cure(word)})
	}
	return all
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(body) // fails only if the reader has gone
}
