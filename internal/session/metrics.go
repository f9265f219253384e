package session

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	connections *prometheus.GaugeVec
	closes      *prometheus.CounterVec
	frames      *prometheus.CounterVec
	age         prometheus.Histogram
	renewals    *prometheus.CounterVec

	mu        sync.Mutex
	endpoints map[string]*endpoint
}

// An endpoint holds the metrics of one endpoint, so that its sockets need not look them up.
type endpoint struct {
	name, component string
	anonymous       bool
	connections     prometheus.Gauge
	received, sent  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		endpoints: map[string]*endpoint{},
		connections: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "roomspa_connections",
			Help: "Number of open WebSocket connections, including connections still in their handshake.",
		}, []string{"endpoint"}),
		closes: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_closes_total",
			Help: "Total closed connections, by close code and reason. Code 1006 means that the connection was lost without a close frame.",
		}, []string{"endpoint", "code", "reason"}),
		frames: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_frames_total",
			Help: "Total WebSocket messages, by direction (received from clients, sent to clients).",
		}, []string{"endpoint", "direction"}),
		age: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "roomspa_connection_age_seconds",
			Help:    "Age of connections at their close.",
			Buckets: []float64{1, 5, 15, 30, 60, 120, 300, 900, 3600, 4 * 3600, 24 * 3600},
		}),
		renewals: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_token_renewals_total",
			Help: "Total tokens that clients sent to renew the token of an open connection, by outcome (accepted, refused).",
		}, []string{"outcome"}),
	}
}

func (m *metrics) renewed(err error) {
	outcome := "accepted"
	if err != nil {
		outcome = "refused"
	}
	m.renewals.WithLabelValues(outcome).Inc()
}

func (m *metrics) endpoint(name, component string, anonymous bool) *endpoint {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.endpoints[name]
	if e == nil {
		e = &endpoint{
			name: name, component: component, anonymous: anonymous,
			connections: m.connections.WithLabelValues(name),
			received:    m.frames.WithLabelValues(name, "received"),
			sent:        m.frames.WithLabelValues(name, "sent"),
		}
		m.endpoints[name] = e
	}
	return e
}
