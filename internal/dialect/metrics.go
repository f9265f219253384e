package dialect

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Outcomes of what a classic client sent.
const (
	stored  = "stored"
	passed  = "passed"
	ignored = "ignored"
	blocked = "blocked"
	refused = "refused"
	failed  = "failed"
)

type metrics struct{ messages, positions map[string]prometheus.Counter }

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	messages := f.NewCounterVec(prometheus.CounterOpts{
		Name: "roomspa_classic_messages_total",
		Help: "Total chat messages from apps of the predecessor, by outcome (stored, ignored, blocked, refused, failed). Ignored ones had no text or could not be read. Blocked ones were dropped because the other side has blocked the sender. Failed ones were not stored within 30 s; their sockets were closed with 1011.",
	}, []string{"outcome"})
	positions := f.NewCounterVec(prometheus.CounterOpts{
		Name: "roomspa_classic_positions_total",
		Help: "Total positions published for apps of the predecessor, and positions from these apps that were not, by outcome (passed, ignored, blocked, failed).",
	}, []string{"outcome"})
	m := &metrics{map[string]prometheus.Counter{}, map[string]prometheus.Counter{}}
	for _, outcome := range []string{stored, ignored, blocked, refused, failed} {
		m.messages[outcome] = messages.WithLabelValues(outcome)
	}
	for _, outcome := range []string{passed, ignored, blocked, failed} {
		m.positions[outcome] = positions.WithLabelValues(outcome)
	}
	return m
}

func (m *metrics) message(outcome string) { m.messages[outcome].Inc() }

func (m *metrics) position(outcome string) { m.positions[outcome].Inc() }
