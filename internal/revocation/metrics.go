package revocation

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	notices *prometheus.CounterVec
	sockets *prometheus.CounterVec
	checks  *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		notices: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_revocation_notices_total",
			Help: "Total requests between replicas to check users, by type (users, everybody) and outcome (published, failed, heard).",
		}, []string{"type", "outcome"}),
		sockets: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_revoked_sockets_total",
			Help: "Total connections closed because what admitted them no longer holds (token, user, role, room), by the check that found it: of users who were named or changed (notice) or of everybody (check).",
		}, []string{"found_by"}),
		checks: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_revocation_checks_total",
			Help: "Total checks of connected users against Postgres, by outcome (done, failed).",
		}, []string{"outcome"}),
	}
}
