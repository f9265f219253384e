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
	Users       int     `json:"users,omitempty"`        // whose connections these were
	Networks    int     `json:"networks,omitempty"`     // of the clients: addresses, or /64 for IPv6
	Remembered  int     `json:"remembered"`             // cuts of idle connections of users, 256 at most
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
// long. User is 0 for a connection of nobody. It logs a warning if a proxy is detected.
func (w *Watch) Add(at time.Time, idle time.Duration, user int64, remote string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.detector.add(cut{at, idle, user, logging.Network(remote)})
	if at.Sub(w.logged) < logEvery {
		return
	}
	found := w.detector.cluster(at)
	if found.cuts == 0 {
		return
	}
	w.logged = at
	logging.Component(w.log, slog.LevelWarn, "Closes", fmt.Sprintf("A proxy closes idle connections after about %s", found.idle.Round(time.Second)),
		slog.String("cause", cause), slog.Int("cuts", found.cuts), slog.Int("users", found.users), slog.Int("networks", found.networks))
}

// Report returns what the cuts of the last half hour show.
func (w *Watch) Report(now time.Time) Report {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := Report{Remembered: len(w.detector.cuts)}
	if found := w.detector.cluster(now); found.cuts > 0 {
		r.Cause, r.IdleSeconds, r.Cuts, r.Users, r.Networks = cause, found.idle.Seconds(), found.cuts, found.users, found.networks
	}
	return r
}
