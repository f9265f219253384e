// Package ops is the ops listener: whether the process turns, whether it can be
// used and why not, its metrics and its profiles. It is never behind the ingress.
package ops

import (
	"encoding/json"
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/roomspa/roomspa/internal/problem"
)

// Options is what the ops listener tells about.
type Options struct {
	Replica  string
	Version  string
	Probe    *Probe
	Draining func() bool
	Gatherer prometheus.Gatherer
}

// A Readiness is the answer of /readyz.
type Readiness struct {
	Ready    bool      `json:"ready"`
	Replica  string    `json:"replica"`
	Version  string    `json:"version"`
	Draining bool      `json:"draining,omitempty"`
	Checks   []Finding `json:"checks"`
}

// New returns the handler of the ops listener.
func New(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		// No dependency is looked at: an outage of theirs must not restart replicas.
		write(w, http.StatusOK, map[string]any{"live": true, "replica": o.Replica, "version": o.Version})
	})
	mux.HandleFunc("GET /readyz", o.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Gatherer, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusOK, "not shown, since options may hold secrets")
	})
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		problem.Problem{
			Status: http.StatusNotFound, Code: "no_such_path", Detail: "The ops listener has the paths listed here.",
			More: map[string]any{"paths": []string{"/livez", "/readyz", "/metrics", "/debug/pprof/"}},
		}.Write(w)
	})
	return mux
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
