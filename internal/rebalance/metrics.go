package rebalance

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	replicas prometheus.Gauge
	mean     prometheus.Gauge
	shed     prometheus.Counter
	rounds   *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		replicas: f.NewGauge(prometheus.GaugeOpts{
			Name: "roomspa_replicas", Help: "Replicas that take sockets, this one included, as this one hears of them.",
		}),
		mean: f.NewGauge(prometheus.GaugeOpts{
			Name: "roomspa_replica_mean_connections", Help: "Sockets that those replicas hold on average.",
		}),
		shed: f.NewCounter(prometheus.CounterOpts{
			Name: "roomspa_rebalanced_connections_total",
			Help: "Sockets that were asked to go to another replica since this one holds far more than the mean.",
		}),
		rounds: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_rebalance_rounds_total",
			Help: "Looks, one every 5 s, whether to shed sockets, by outcome: shed, even (not far above the mean), alone, or why it may not be: settling, drain, outage.",
		}, []string{"outcome"}),
	}
}
