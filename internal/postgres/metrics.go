package postgres

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	commit  prometheus.Histogram
	batch   prometheus.Histogram
	acquire prometheus.Histogram
	waiting prometheus.Gauge
	errors  *prometheus.CounterVec
	reports atomic.Pointer[openReportsSeen] // nil until they were counted
}

// openReportsSeen is what was last read about open reports.
type openReportsSeen struct {
	n      int
	oldest time.Time
}

func newMetrics(reg prometheus.Registerer, db *DB) *metrics {
	f := promauto.With(reg)
	gauge := func(name, help string, value func() float64) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	gauge("roomspa_database_connections_max", "Maximum number of connections in the database pool.",
		func() float64 { return float64(db.pool.Stat().MaxConns()) })
	gauge("roomspa_database_connections_in_use", "Number of database connections in use.",
		func() float64 { return float64(db.pool.Stat().AcquiredConns()) })
	gauge("roomspa_database_connections_idle", "Number of open database connections that are idle.",
		func() float64 { return float64(db.pool.Stat().IdleConns()) })
	gauge("roomspa_commit_waiting_messages", "Number of messages waiting to be committed.",
		func() float64 { return float64(db.commits.queue.Len()) })
	m := &metrics{
		commit: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "roomspa_commit_seconds",
			Help:    "Time to commit a batch of messages, including failed batches.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
		}),
		batch: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "roomspa_commit_batch_messages",
			Help:    "Number of messages per committed batch.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 10),
		}),
		acquire: f.NewHistogram(prometheus.HistogramOpts{
			Name:    "roomspa_database_acquire_seconds",
			Help:    "Time that a call waited for a database connection.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9),
		}),
		waiting: f.NewGauge(prometheus.GaugeOpts{
			Name: "roomspa_database_acquires_waiting",
			Help: "Number of calls waiting for a database connection.",
		}),
		errors: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_database_errors_total",
			Help: "Total failed database operations, by cause. A batch counts as one operation.",
		}, []string{"cause"}),
	}
	gauge("roomspa_reports_open", "Number of open reports of users, as this replica last read it from Postgres.", func() float64 {
		if seen := m.reports.Load(); seen != nil {
			return float64(seen.n)
		}
		return 0
	})
	gauge("roomspa_reports_oldest_open_seconds", "Age of the oldest open report of a user; 0 if there is none.", func() float64 {
		if seen := m.reports.Load(); seen != nil && seen.n > 0 {
			return time.Since(seen.oldest).Seconds()
		}
		return 0
	})
	return m
}

// countFailure counts a failure, unless the caller itself has given up.
func (m *metrics) countFailure(f *failure) {
	if f.cause != causeCallerGone {
		m.errors.WithLabelValues(f.cause).Inc()
	}
}
