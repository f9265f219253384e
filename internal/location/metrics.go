package location

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	positions map[string]prometheus.Counter
	dropped   prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	positions := f.NewCounterVec(prometheus.CounterOpts{
		Name: "roomspa_positions_total",
		Help: "Total positions received from clients, by outcome (published, outdated, refused, blocked, superseded, failed). Outdated ones were recorded before the previous one of the same socket, or of the same user by HTTP. Superseded positions were replaced by a newer one of the same socket, which exceeded the message rate, or of the same request. Blocked ones were dropped because one side of the room has blocked the other.",
	}, []string{"outcome"})
	m := &metrics{
		positions: map[string]prometheus.Counter{},
		dropped: f.NewCounter(prometheus.CounterOpts{
			Name:        "roomspa_drops_total",
			Help:        "Total updates dropped before they were sent, because a newer one replaced them or there were too many, by class (location, typing, presence).",
			ConstLabels: prometheus.Labels{"class": "location"},
		}),
	}
	for _, outcome := range []string{"published", "outdated", "refused", "blocked", "superseded", "failed"} {
		m.positions[outcome] = positions.WithLabelValues(outcome)
	}
	return m
}

func (m *metrics) count(outcome string) { m.positions[outcome].Inc() }
