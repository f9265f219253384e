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
			Name: "roomspa_replicas", Help: "Number of ready replicas known to this replica, including itself.",
		}),
		mean: f.NewGauge(prometheus.GaugeOpts{
			Name: "roomspa_replica_mean_connections", Help: "Mean number of WebSocket connections of users per ready replica.",
		}),
		shed: f.NewCounter(prometheus.CounterOpts{
			Name: "roomspa_rebalanced_connections_total",
			Help: "Total connections closed to move their clients to other replicas.",
		}),
		rounds: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_rebalance_rounds_total",
			Help: "Total rebalancing rounds, one every 5 s, by outcome: shed (this replica closes connections), even (connections close to the mean), alone (no other replica is ready), settling (the set of replicas has changed, or this replica does not receive its own messages), drain (a replica is draining) or outage (a replica with connections is not ready).",
		}, []string{"outcome"}),
	}
}
