package fleet

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are the gauges of the problems.
type metrics map[*problem]prometheus.Gauge

func newMetrics(reg prometheus.Registerer) metrics {
	f := promauto.With(reg)
	return metrics{
		splitLayer: f.NewGauge(prometheus.GaugeOpts{
			Name: "roomspa_replicas_unheard",
			Help: "Number of other replicas that share Postgres with this replica but whose heartbeats do not arrive over Redis.",
		}),
		splitDatabase: f.NewGauge(prometheus.GaugeOpts{
			Name: "roomspa_replicas_on_another_database",
			Help: "Number of other replicas of this deployment that are heard over Redis but store their heartbeats in another Postgres.",
		}),
		hungReplicas: f.NewGauge(prometheus.GaugeOpts{
			Name: "roomspa_replicas_hung",
			Help: "Number of other replicas that have not been heard for 30 s and have not shut down. Each counts for up to an hour.",
		}),
		differentOptions: f.NewGauge(prometheus.GaugeOpts{
			Name: "roomspa_replicas_with_other_options",
			Help: "Number of other replicas whose options differ from those of this replica, among the options that must be equal.",
		}),
		mixedVersions: f.NewGauge(prometheus.GaugeOpts{
			Name: "roomspa_replicas_with_other_versions",
			Help: "Number of other replicas of another version of roomspa, if both have been running for more than 30 minutes.",
		}),
		redisShared: f.NewGauge(prometheus.GaugeOpts{
			Name: "roomspa_other_deployments",
			Help: "Number of other deployments that use the same Redis with the same prefix.",
		}),
		clockSkew: f.NewGauge(prometheus.GaugeOpts{
			Name: "roomspa_replicas_with_clock_skew",
			Help: "Number of other replicas whose clock differs from that of Postgres by more than 5 s.",
		}),
		differentSecrets: f.NewGauge(prometheus.GaugeOpts{
			Name: "roomspa_replicas_with_other_secrets",
			Help: "Number of other replicas that refuse tokens of this replica, or whose tokens this replica refuses.",
		}),
	}
}
