// Package ops is the ops listener: whether the process turns, whether it can be
// used and why not, its metrics and its profiles. It is never behind the ingress.
package ops

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/pprof"
	runtimepprof "runtime/pprof"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/roomspa/roomspa/internal/problem"
	"github.com/roomspa/roomspa/internal/story"
)

// Options is what the ops listener tells about.
type Options struct {
	Replica  string
	Version  string
	Probe    *Probe
	Draining func() bool
	Gatherer prometheus.Gatherer
	Stories  *story.Keeper // nil where there are none
}

// A Readiness is the answer of /readyz.
type Readiness struct {
	Ready    bool      `json:"ready"`
	Replica  string    `json:"replica"`
	Version  string    `json:"version"`
	Draining bool      `json:"draining,omitempty"`
	Checks   []Finding `json:"checks"`
}

// New returns the handler of the ops listener. Its paths are taken raw, with or
// without a slash at the end, and nothing is redirected: a probe may count a redirect
// as an answer.
func New(o Options) http.Handler {
	answers := map[string]http.Handler{
		"/livez": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			// No dependency is looked at: an outage of theirs must not restart replicas.
			write(w, http.StatusOK, map[string]any{"live": true, "replica": o.Replica, "version": o.Version})
		}),
		"/readyz":      http.HandlerFunc(o.readyz),
		"/metrics":     promhttp.HandlerFor(o.Gatherer, promhttp.HandlerOpts{}),
		"/debug/pprof": http.HandlerFunc(profiles),
		"/debug/pprof/cmdline": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			write(w, http.StatusOK, "not shown, since options may hold secrets")
		}),
		"/debug/pprof/profile": http.HandlerFunc(pprof.Profile),
		"/debug/pprof/symbol":  http.HandlerFunc(pprof.Symbol),
		"/debug/pprof/trace":   http.HandlerFunc(pprof.Trace),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimSuffix(r.URL.EscapedPath(), "/")
		answer := answers[path]
		if ref, below := strings.CutPrefix(path, "/debug/stories/"); below && o.Stories != nil {
			answer = o.story(ref)
		}
		if name, below := strings.CutPrefix(path, "/debug/pprof/"); below && answer == nil && runtimepprof.Lookup(name) != nil {
			answer = pprof.Handler(name)
		}
		switch {
		case answer == nil:
			problem.Problem{
				Status: http.StatusNotFound, Code: "no_such_path", Detail: "The ops listener has the paths listed here.",
				More: map[string]any{"paths": []string{"/livez", "/readyz", "/metrics", "/debug/stories/{ref}", "/debug/pprof/"}},
			}.Write(w)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			problem.Problem{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Detail: "Send a GET."}.Write(w)
		default:
			answer.ServeHTTP(w, r)
		}
	})
}

// profiles lists them. The links of the page are relative to the path with the slash.
func profiles(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/") {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, `<base href="pprof/">`+"\n") // else the reader is gone
	}
	pprof.Index(w, r)
}

func (o *Options) readyz(w http.ResponseWriter, r *http.Request) {
	findings, ok := o.Probe.Run(r.Context())
	answer := Readiness{Ready: ok, Replica: o.Replica, Version: o.Version, Checks: findings}
	if o.Draining() {
		answer.Ready, answer.Draining = false, true
	}
	status := http.StatusOK
	if !answer.Ready {
		status = http.StatusServiceUnavailable
	}
	write(w, status, answer)
}

func write(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(body) // the prober is gone
}
