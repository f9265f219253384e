package block

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	checks *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	return &metrics{checks: promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
		Name: "roomspa_block_checks_total",
		Help: "Total reads from Postgres of blocks that may have changed, by outcome (done, failed).",
	}, []string{"outcome"})}
}
