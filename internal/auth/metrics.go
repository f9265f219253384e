package auth

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type jwksMetrics struct {
	refreshes *prometheus.CounterVec
	last      atomic.Int64 // Unix seconds of the last successful refresh
}

func newJWKSMetrics(reg prometheus.Registerer, j *JWKS) *jwksMetrics {
	f := promauto.With(reg)
	m := &jwksMetrics{refreshes: f.NewCounterVec(prometheus.CounterOpts{
		Name: "roomspa_jwks_refreshes_total",
		Help: "Total refreshes of the JWKS, by outcome (ok, failed).",
	}, []string{"outcome"})}
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "roomspa_jwks_keys",
		Help: "Number of public keys loaded from the JWKS.",
	}, func() float64 { return float64(len(*j.keys.Load())) })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "roomspa_jwks_age_seconds",
		Help: "Time since the last successful refresh of the JWKS. -1 before the first one.",
	}, func() float64 {
		last := m.last.Load()
		if last == 0 {
			return -1
		}
		return time.Since(time.Unix(last, 0)).Seconds()
	})
	return m
}

func (m *jwksMetrics) succeeded() {
	m.last.Store(time.Now().Unix())
	m.refreshes.WithLabelValues("ok").Inc()
}

func (m *jwksMetrics) failed() { m.refreshes.WithLabelValues("failed").Inc() }
