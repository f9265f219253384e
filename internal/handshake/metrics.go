package handshake

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/roomspa/roomspa/internal/frame"
)

type metrics struct {
	handshakes *prometheus.CounterVec
	took       *prometheus.HistogramVec
	returns    *prometheus.CounterVec
	unlogged   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		handshakes: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_handshakes_total",
			Help: "Handshakes by outcome (accepted, refused for a cause of the client's, error for one of the server's) and reason.",
		}, []string{"endpoint", "outcome", "reason"}),
		took: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "roomspa_handshake_seconds",
			Help:    "Time from the request to the accepted or refused socket.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"outcome"}),
		returns: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_client_reported_closes_total",
			Help: "Closes of an earlier socket that clients told of when they came back, by the code they saw.",
		}, []string{"code"}),
		unlogged: f.NewCounter(prometheus.CounterOpts{
			Name: "roomspa_unlogged_handshakes_total",
			Help: "Good handshakes whose lines were left out of the log, since there were more than 100 a second.",
		}),
	}
}

func (m *metrics) count(endpoint, outcome, reason string, began time.Time) {
	m.handshakes.WithLabelValues(endpoint, outcome, reason).Inc()
	m.took.WithLabelValues(outcome).Observe(time.Since(began).Seconds())
}

// cameBack counts what a client says its last socket ended with.
func (m *metrics) cameBack(code string) {
	switch code {
	case "1006", "1005", "1001", "1000":
	default:
		known := false
		for _, r := range frame.Reasons {
			known = known || code == strconv.Itoa(r.Code)
		}
		if !known {
			code = "other"
		}
	}
	m.returns.WithLabelValues(code).Inc()
}
