package fleet

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	unheard, strangers prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		unheard: f.NewGauge(prometheus.GaugeOpts{
			Name: "roomspa_replicas_unheard",
			Help: "Number of other replicas that share Postgres with this replica but whose heartbeats do not arrive over Redis.",
		}),
		strangers: f.NewGauge(prometheus.GaugeOpts{
			Name: "roomspa_replicas_with_other_secrets",
			Help: "Number of other replicas that refuse tokens of this replica, or whose tokens this replica refuses.",
		}),
	}
}
