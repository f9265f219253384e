package inbox

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	events *prometheus.CounterVec
	reads  *prometheus.CounterVec
	sweeps *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		events: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_inbox_events_total", Help: "Total messages announced to the inboxes of one user, by outcome (published, failed).",
		}, []string{"outcome"}),
		reads: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_inbox_reads_total", Help: "Total reads of conversations for inbox sockets, by reason (page, repair) and outcome (done, failed).",
		}, []string{"reason", "outcome"}),
		sweeps: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_inbox_sweeps_total", Help: "Total sweeps for changes that inbox sockets missed, by outcome (done, all, failed).",
		}, []string{"outcome"}),
	}
}

func (m *metrics) published(outcome string) { m.events.WithLabelValues(outcome).Inc() }

func (m *metrics) read(reason string, err error) {
	outcome := "done"
	if err != nil {
		outcome = "failed"
	}
	m.reads.WithLabelValues(reason, outcome).Inc()
}
