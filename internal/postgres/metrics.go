package postgres

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	commit  prometheus.Histogram
	batch   prometheus.Histogram
	acquire prometheus.Histogram
	waiting prometheus.Gauge
	errors  *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, db *DB) *metrics {
	f := promauto.With(reg)
	gauge := func(name, help string, value func() float64) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	gauge("roomspa_database_connections_max", "Size of the connection pool.",
		func() float64 { return float64(db.pool.Stat().MaxConns()) })
	gauge("roomspa_database_connections_in_use", "Connections that a call is using.",
		func() float64 { return float64(db.pool.Stat().AcquiredConns()) })
	gauge("roomspa_database_connections_idle", "Connections that are open and unused.",
		func() float64 { return float64(db.pool.Stat().IdleConns()) })
	gauge("roomspa_commit_waiting_messages", "Messages that wait for the committer.", db.waitingMessages)
	return &metrics{
		commit: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "roomspa_commit_seconds",
			Help:    "Time that a batch of messages took to commit, failed ones included.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
		}),
		batch: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "roomspa_commit_batch_messages",
			Help:    "Messages in a batch that was committed together.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}),
		acquire: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "roomspa_database_acquire_seconds",
			Help:    "Time that a call waited for a connection of the pool.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9),
		}),
		waiting: f.NewGauge(prometheus.GaugeOpts{
			Name: "roomspa_database_acquires_waiting",
			Help: "Calls that wait for a connection of the pool.",
		}),
		errors: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_database_errors_total",
			Help: "Failed trips to the database by cause; a batch counts once, and so does a call that gave up waiting for one.",
		}, []string{"cause"}),
	}
}

func (db *DB) waitingMessages() float64 { return float64(db.committer.queue.Len()) }

// failed counts a failure. A caller who hangs up is none of the database's.
func (m *metrics) failed(f *failure) {
	if f.cause != causeCallerGone {
		m.errors.WithLabelValues(f.cause).Inc()
	}
}
