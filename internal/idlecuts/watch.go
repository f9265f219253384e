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

// sayEvery is the time between two lines about the same proxy.
const sayEvery = 5 * time.Minute

// A Report says what the ends of sockets have in common.
type Report struct {
	// Cause is proxy_cuts_idle, or "" where they have nothing in common.
	Cause string `json:"cause,omitempty"`
	// IdleSeconds is the idle age at which connections are cut.
	IdleSeconds float64 `json:"idle_seconds,omitempty"`
	Cuts        int     `json:"cuts,omitempty"` // that were seen at that age within half an hour
	Remembered  int     `json:"remembered"`     // cuts of idle connections, the 256 latest
}

// A Watch is told of the cuts on a replica. It may be used by several goroutines.
type Watch struct {
	log *slog.Logger

	mu       sync.Mutex
	detector detector
	said     time.Time
}

// New returns a watch.
func New(log *slog.Logger, reg prometheus.Registerer) *Watch {
	w := &Watch{log: log}
	promauto.With(reg).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "roomspa_proxy_idle_timeout_seconds",
		Help: "Idle age at which something between the clients and this replica cuts connections, as their ends of the last half hour show it; 0 where they show none.",
	}, func() float64 { return w.Report(time.Now()).IdleSeconds })
	return w
}

// Cut tells of a connection that ended without a Close after it was idle for so long.
func (w *Watch) Cut(at time.Time, idle time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.detector.add(at, idle)
	if at.Sub(w.said) < sayEvery {
		return
	}
	limit, n := w.detector.cluster(at)
	if n == 0 {
		return
	}
	w.said = at
	logging.Component(w.log, slog.LevelWarn, "Closes", fmt.Sprintf("A proxy closes idle connections after about %s", limit.Round(time.Second)),
		slog.String("cause", "proxy_cuts_idle"), slog.Int("cuts", n))
}

// Report returns what the ends have in common.
func (w *Watch) Report(now time.Time) Report {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := Report{Remembered: len(w.detector.cuts)}
	if limit, n := w.detector.cluster(now); n > 0 {
		r.Cause, r.IdleSeconds, r.Cuts = "proxy_cuts_idle", limit.Seconds(), n
	}
	return r
}
