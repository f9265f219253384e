package revocation

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	notices *prometheus.CounterVec
	sockets *prometheus.CounterVec
	looks   *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		notices: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_revocation_notices_total",
			Help: "Notices between replicas that a user signed out or was deactivated, by type (signed_out, deactivated, unknown) and outcome (published, failed, heard).",
		}, []string{"type", "outcome"}),
		sockets: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_revoked_sockets_total",
			Help: "Sockets ended since their token does not speak for its user any more, by how that was found: notice or look.",
		}, []string{"found_by"}),
		looks: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_revocation_looks_total",
			Help: "Looks into Postgres for users of open sockets who signed out or were deactivated, by outcome: done or failed.",
		}, []string{"outcome"}),
	}
}
