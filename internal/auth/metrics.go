package auth

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type jwksMetrics struct {
	looks *prometheus.CounterVec
	last  atomic.Int64 // Unix seconds of the last look that went well
}

func newJWKSMetrics(reg prometheus.Registerer, j *JWKS) *jwksMetrics {
	f := promauto.With(reg)
	m := &jwksMetrics{looks: f.NewCounterVec(prometheus.CounterOpts{
		Name: "roomspa_jwks_refreshes_total",
		Help: "Readings of the key set, by outcome: ok or failed.",
	}, []string{"outcome"})}
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "roomspa_jwks_keys",
		Help: "Public keys of the key set that tokens are verified with.",
	}, func() float64 { return float64(len(*j.keys.Load())) })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "roomspa_jwks_age_seconds",
		Help: "Time since the key set was last read; -1 before it was.",
	}, func() float64 {
		last := m.last.Load()
		if last == 0 {
			return -1
		}
		return time.Since(time.Unix(last, 0)).Seconds()
	})
	return m
}

func (m *jwksMetrics) renewed() {
	m.last.Store(time.Now().Unix())
	m.looks.WithLabelValues("ok").Inc()
}

func (m *jwksMetrics) failed() { m.looks.WithLabelValues("failed").Inc() }
