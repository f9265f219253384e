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
	endpoints map[Kind]*endpoint
}

// A Kind says what a socket is for. Sockets of one kind share their metrics.
type Kind struct {
	Endpoint  string
	Component string // name of the endpoint in log lines
	Anonymous bool   // the endpoint knows no user
	// Classic means that the client speaks the dialect of the predecessor. Its socket gets no
	// frames but those of the handler, outlives its token, and ends at [Options.ClassicMaxAge].
	Classic bool
}

// dialect returns the label of metrics.
func (k Kind) dialect() string {
	if k.Classic {
		return "classic"
	}
	return "roomspa"
}

// An endpoint holds the metrics of one kind of sockets, so that its sockets need not look them
// up.
type endpoint struct {
	name, component string
	anonymous       bool
	classic         bool
	connections     prometheus.Gauge
	received, sent  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		endpoints: map[Kind]*endpoint{},
		connections: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "roomspa_connections",
			Help: "Number of open WebSocket connections, including connections still in their handshake, by endpoint (chat, location, inbox, test) and by the dialect of the client (roomspa, or classic: an app of the predecessor).",
		}, []string{"endpoint", "dialect"}),
		closes: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_closes_total",
			Help: "Total closed connections, by close code and reason. Code 1006 means that the connection was lost without a close frame.",
		}, []string{"endpoint", "code", "reason"}),
		frames: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_frames_total",
			Help: "Total WebSocket messages, by direction (received from clients, sent to clients) and by the dialect of the client (roomspa, classic).",
		}, []string{"endpoint", "direction", "dialect"}),
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
	// An autoscaler takes a pod without this metric for one at its target, and would not scale in.
	m.connections.WithLabelValues("chat", "roomspa")
	return m
}

func (m *metrics) renewed(err error) {
	outcome := "accepted"
	if err != nil {
		outcome = "refused"
	}
	m.renewals.WithLabelValues(outcome).Inc()
}

func (m *metrics) endpoint(k Kind) *endpoint {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.endpoints[k]
	if e == nil {
		e = &endpoint{
			name: k.Endpoint, component: k.Component, anonymous: k.Anonymous, classic: k.Classic,
			connections: m.connections.WithLabelValues(k.Endpoint, k.dialect()),
			received:    m.frames.WithLabelValues(k.Endpoint, "received", k.dialect()),
			sent:        m.frames.WithLabelValues(k.Endpoint, "sent", k.dialect()),
		}
		m.endpoints[k] = e
	}
	return e
}
