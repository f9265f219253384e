package fleet

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	unheard, strangers, sharing, skewed prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		unheard: f.NewGauge(prometheus.GaugeOpts{
			Name: "roomspa_replicas_unheard",
			Help: "Number of other replicas that share Postgres with this replica but whose heartbeats do not arrive over Redis.",
		}),
		sharing: f.NewGauge(prometheus.GaugeOpts{
			Name: "roomspa_other_deployments",
			Help: "Number of other deployments that use the same Redis with the same prefix.",
		}),
		skewed: f.NewGauge(prometheus.GaugeOpts{
			Name: "roomspa_replicas_with_clock_skew",
			Help: "Number of other replicas whose clock differs from that of Postgres by more than 5 s.",
		}),
		strangers: f.NewGauge(prometheus.GaugeOpts{
			Name: "roomspa_replicas_with_other_secrets",
			Help: "Number of other replicas that refuse tokens of this replica, or whose tokens this replica refuses.",
		}),
	}
}
