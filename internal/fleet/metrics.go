package fleet

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct{ unheard, strangers prometheus.Gauge }

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		unheard: f.NewGauge(prometheus.GaugeOpts{
			Name: "roomspa_replicas_unheard",
			Help: "Other replicas that share Postgres with this one and are not heard over the channel layer, though both hear themselves.",
		}),
		strangers: f.NewGauge(prometheus.GaugeOpts{
			Name: "roomspa_replicas_with_other_secrets",
			Help: "Other replicas that share Postgres with this one and refuse the tokens that it signs, or sign some that it refuses.",
		}),
	}
}
