package handshake

import (
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
)

type metrics struct {
	handshakes *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	reported   *prometheus.CounterVec
	unlogged   prometheus.Counter
	refreshes  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		handshakes: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_handshakes_total",
			Help: "Total WebSocket handshakes, by endpoint, outcome (accepted, refused, error) and reason. The outcome error means that the server is at fault.",
		}, []string{"endpoint", "outcome", "reason"}),
		duration: f.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "roomspa_handshake_seconds",
			Help:    "Time from the request to the accepted or refused connection, by outcome.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"outcome"}),
		reported: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_client_reported_closes_total",
			Help: "Total closes of previous connections that clients reported when they reconnected, by the close code that the client saw.",
		}, []string{"code"}),
		refreshes: f.NewCounter(prometheus.CounterOpts{
			Name: "roomspa_refresh_tokens_refused_total",
			Help: "Total handshakes refused because the client sent its refresh token instead of its access token.",
		}),
		unlogged: f.NewCounter(prometheus.CounterOpts{
			Name: "roomspa_unlogged_handshakes_total",
			Help: "Total accepted handshakes that were not logged because there were more than 100 handshakes of users, or 20 anonymous ones, per second.",
		}),
	}
}

func (m *metrics) count(endpoint, outcome, reason string, began time.Time, log *logging.Conn) {
	m.handshakes.WithLabelValues(endpoint, outcome, reason).Inc()
	took := time.Since(began).Seconds()
	if o, ok := m.duration.WithLabelValues(outcome).(prometheus.ExemplarObserver); ok {
		o.ObserveWithExemplar(took, log.Exemplar())
	}
}

// countReported counts the close code that a client reports of its previous socket.
func (m *metrics) countReported(code string) {
	sent := slices.ContainsFunc(frame.Reasons, func(r frame.Reason) bool { return strconv.Itoa(r.Code) == code })
	if !sent && code != "1001" && code != "1005" && code != "1006" {
		code = "other"
	}
	m.reported.WithLabelValues(code).Inc()
}
