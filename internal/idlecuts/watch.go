package idlecuts

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/roomspa/roomspa/internal/logging"
)

// logEvery is the least time between two log lines about a proxy.
const logEvery = 5 * time.Minute

const cause = "proxy_cuts_idle"

// A Report tells whether a proxy cuts idle connections. The zero values stand for no.
type Report struct {
	Cause       string  `json:"cause,omitempty"`        // proxy_cuts_idle
	IdleSeconds float64 `json:"idle_seconds,omitempty"` // idle time at which connections are cut
	Cuts        int     `json:"cuts,omitempty"`         // at that idle time, within half an hour
	Remembered  int     `json:"remembered"`             // cuts of idle connections, 256 at most
}

// A Watch collects the cuts of one replica. It is safe for concurrent use.
type Watch struct {
	log *slog.Logger

	mu       sync.Mutex
	detector detector
	logged   time.Time
}

// New returns a watch that has seen no cut.
func New(log *slog.Logger, reg prometheus.Registerer) *Watch {
	w := &Watch{log: log}
	promauto.With(reg).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "roomspa_proxy_idle_timeout_seconds",
		Help: "Idle timeout in seconds of a proxy in front of this replica, estimated from connections that were cut in the last half hour. 0 if none is detected.",
	}, func() float64 { return w.Report(time.Now()).IdleSeconds })
	return w
}

// Add records a connection that ended without a close frame after it was idle for so
// long. It logs a warning if a proxy is detected.
func (w *Watch) Add(at time.Time, idle time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.detector.add(at, idle)
	if at.Sub(w.logged) < logEvery {
		return
	}
	limit, n := w.detector.cluster(at)
	if n == 0 {
		return
	}
	w.logged = at
	logging.Component(w.log, slog.LevelWarn, "Closes", fmt.Sprintf("A proxy closes idle connections after about %s", limit.Round(time.Second)),
		slog.String("cause", cause), slog.Int("cuts", n))
}

// Report returns what the cuts of the last half hour show.
func (w *Watch) Report(now time.Time) Report {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := Report{Remembered: len(w.detector.cuts)}
	if limit, n := w.detector.cluster(now); n > 0 {
		r.Cause, r.IdleSeconds, r.Cuts = cause, limit.Seconds(), n
	}
	return r
}
