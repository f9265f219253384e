package listen

import (
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/roomspa/roomspa/internal/logging"
)

// The reasons of a refusal.
const (
	reasonAddress = "address_share"
	reasonFull    = "full"
	reasonFiles   = "open_files"
)

var stateNames = [states]string{idle: "idle", waiting: "head", serving: "request"}

type limitMetrics struct {
	refused *prometheus.CounterVec
	evicted *prometheus.CounterVec
	slowed  prometheus.Counter
}

// newLimitMetrics registers the metrics of the public listener; reg is nil for the ops
// listener.
func newLimitMetrics(l *Limits, reg prometheus.Registerer) *limitMetrics {
	f := promauto.With(reg)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "roomspa_accepted_connections",
		Help: "Number of open connections of the public listener: sockets, requests, unfinished heads and idle connections.",
	}, func() float64 { return float64(l.count()) })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "roomspa_accepted_connections_max",
		Help: "Maximum number of open connections of the public listener. It follows from the open-file limit, --hard-limit and the memory limit.",
	}, func() float64 { return float64(l.Places()) })
	return &limitMetrics{
		refused: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_connections_refused_total",
			Help: "Total connections refused, by reason: their address holds its share (address_share), all places are taken (full), or the process has no open files left (open_files).",
		}, []string{"reason"}),
		evicted: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_connections_evicted_total",
			Help: "Total connections closed to make room for new ones, by what they did: nothing (idle), sending a request's head (head), or waiting for an answer (request). Sockets are never closed for it.",
		}, []string{"state"}),
		slowed: f.NewCounter(prometheus.CounterOpts{
			Name: "roomspa_refusals_slowed_total",
			Help: "Total refusals and handshakes without a token whose answer was held back, because their client's network causes too many.",
		}),
	}
}

// logEvery is the time between two lines of one reason.
const logEvery = time.Minute

// refusalLog logs refusals, one line per reason and minute. It is safe for concurrent use.
type refusalLog struct {
	log *slog.Logger

	mu      sync.Mutex
	last    map[string]time.Time
	omitted map[string]int
}

// allow reports whether a refusal may be logged now, and how many were not since the last one.
func (r *refusalLog) allow(reason string) (omitted int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		r.last, r.omitted = map[string]time.Time{}, map[string]int{}
	}
	if now := time.Now(); r.last[reason].IsZero() || now.Sub(r.last[reason]) >= logEvery {
		omitted, r.omitted[reason], r.last[reason] = r.omitted[reason], 0, now
		return omitted, true
	}
	r.omitted[reason]++
	return 0, false
}

// refused counts and logs a refusal to a network that holds some of the places.
func (l *Limits) refused(reason string, n netip.Prefix, held, places int) {
	l.metrics.refused.WithLabelValues(reason).Inc()
	omitted, ok := l.log.allow(reason)
	if !ok {
		return
	}
	var msg string
	switch reason {
	case reasonAddress:
		msg = fmt.Sprintf("Connections refused: %s holds %d of %d places, its share. If it is a proxy, add it to --trusted-proxies; else see --address-share",
			n, held, places)
	case reasonFull:
		msg = fmt.Sprintf("Connections refused: all %d places are taken. Add replicas, or raise the open-file limit, --hard-limit and the memory limit", places)
	case reasonFiles:
		msg = "Connections refused: the process has no open files left. Raise the open-file limit (ulimit -n)"
	}
	logging.Component(l.log.log, slog.LevelWarn, "Connections", msg, slog.String("reason", reason), slog.Int("more", omitted))
}
