package presence

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	online, offline prometheus.Counter
	failures        prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	transitions := f.NewCounterVec(prometheus.CounterOpts{
		Name: "roomspa_presence_transitions_total",
		Help: "Total users that this replica announced as online or offline, by state. Users whose replica was killed expire without an announcement.",
	}, []string{"state"})
	return &metrics{
		online: transitions.WithLabelValues("online"), offline: transitions.WithLabelValues("offline"),
		failures: f.NewCounter(prometheus.CounterOpts{
			Name: "roomspa_presence_failures_total",
			Help: "Total failed reads and writes of presence in Redis. A read or write covers up to 500 users.",
		}),
	}
}
