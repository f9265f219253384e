package fleet

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are the gauges of the problems.
type metrics map[*problem]prometheus.Gauge

func newMetrics(reg prometheus.Registerer) metrics {
	f, m := promauto.With(reg), metrics{}
	for _, p := range problems {
		m[p] = f.NewGauge(prometheus.GaugeOpts{Name: p.metric, Help: p.help})
	}
	return m
}
