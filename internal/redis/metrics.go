package redis

import (
	"github.com/prometheus/client_golang/prometheus"
	goredis "github.com/redis/go-redis/v9"
)

// metrics holds the metrics of the package. No label names a user, a room or a channel.
type metrics struct {
	published, failed, refused prometheus.Counter
	pipeline                   prometheus.Histogram
	publish                    prometheus.Histogram
	dropped                    *prometheus.CounterVec
	tickets                    *prometheus.CounterVec
}

// newMetrics returns the metrics. It registers them unless reg is nil.
func newMetrics(reg prometheus.Registerer, client goredis.UniversalClient) *metrics {
	commands := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "roomspa_redis_publishes_total",
		Help: "Total publishes and saved positions, by outcome: ok, failed (Redis did not accept the command), or refused (Redis was known to be unavailable, or the queue was full).",
	}, []string{"outcome"})
	m := &metrics{
		published: commands.WithLabelValues("ok"),
		failed:    commands.WithLabelValues("failed"),
		refused:   commands.WithLabelValues("refused"),
		pipeline: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "roomspa_redis_pipeline_commands", Help: "Number of commands sent in one pipeline.",
			Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512},
		}),
		publish: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "roomspa_redis_publish_seconds", Help: "Time from submitting a publish or a position to the reply of Redis, in seconds.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_events_dropped_total", Help: "Total events from Redis that were dropped, by reason: stale (too old), unknown (of a newer release), not_authentic (forged, damaged, copied or of another timeline), or unknown_key.",
		}, []string{"reason"}),
		tickets: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_tickets_total", Help: "Total tickets (one-time replacements for a token), by outcome: issued, redeemed, unknown (already used, expired or made up), or failed (Redis did not answer or refused).",
		}, []string{"outcome"}),
	}
	for _, reason := range []string{"stale", "unknown", "not_authentic", "unknown_key"} {
		m.dropped.WithLabelValues(reason) // so that it is 0 and not absent
	}
	if reg != nil {
		reg.MustRegister(commands, m.pipeline, m.publish, m.dropped, m.tickets) //nolint:forbidigo // the caller's registry, not the global one
		registerPool(reg, client)
	}
	return m
}

// registerPool registers metrics of the connection pool, which excludes subscriptions.
func registerPool(reg prometheus.Registerer, client goredis.UniversalClient) {
	gauge := func(name, help string, value func(*goredis.PoolStats) uint32) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, //nolint:forbidigo // the caller's registry
			func() float64 { return float64(value(client.PoolStats())) }))
	}
	counter := func(name, help string, value func(*goredis.PoolStats) uint32) {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, //nolint:forbidigo // the caller's registry
			func() float64 { return float64(value(client.PoolStats())) }))
	}
	gauge("roomspa_redis_pool_connections", "Number of open pooled connections to Redis, without subscriptions.",
		func(s *goredis.PoolStats) uint32 { return s.TotalConns })
	gauge("roomspa_redis_pool_idle_connections", "Number of idle pooled connections to Redis.",
		func(s *goredis.PoolStats) uint32 { return s.IdleConns })
	counter("roomspa_redis_pool_timeouts_total", "Total waits for a pooled Redis connection that timed out.",
		func(s *goredis.PoolStats) uint32 { return s.Timeouts })
	counter("roomspa_redis_pool_stale_connections_total", "Total pooled Redis connections that were found closed and removed.",
		func(s *goredis.PoolStats) uint32 { return s.StaleConns })
}
