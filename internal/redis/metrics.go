package redis

import (
	"github.com/prometheus/client_golang/prometheus"
	goredis "github.com/redis/go-redis/v9"
)

// metrics is what the package counts. No label holds a user, a room or a channel.
type metrics struct {
	published, failed, refused prometheus.Counter
	pipeline                   prometheus.Histogram
	publish                    prometheus.Histogram
	deliveries                 prometheus.Counter
	unreadable                 prometheus.Counter
	resubscriptions            prometheus.Counter
	groups                     prometheus.Gauge
	joins                      prometheus.Histogram
	failedJoins                prometheus.Counter
	echo                       prometheus.Histogram
	up                         prometheus.Gauge
	tickets                    *prometheus.CounterVec
}

// newMetrics makes the metrics, and registers them unless reg is nil.
func newMetrics(reg prometheus.Registerer, client goredis.UniversalClient) *metrics {
	latency := []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}
	commands := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "roomspa_redis_publishes_total",
		Help: "Publishes and saved positions by outcome: ok, failed (Redis did not take it), or refused at once (the layer was known to be down, or too much waited).",
	}, []string{"outcome"})
	m := &metrics{
		published: commands.WithLabelValues("ok"),
		failed:    commands.WithLabelValues("failed"),
		refused:   commands.WithLabelValues("refused"),
		pipeline: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "roomspa_redis_pipeline_commands", Help: "Commands that went out together in one pipeline.",
			Buckets: []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512},
		}),
		publish: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "roomspa_redis_publish_seconds", Help: "Time from handing in a publish to the answer of Redis.", Buckets: latency,
		}),
		deliveries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "roomspa_redis_deliveries_total", Help: "Payloads handed to members of groups on this replica.",
		}),
		unreadable: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "roomspa_redis_unreadable_payloads_total", Help: "Payloads dropped because their version is not known to this replica.",
		}),
		resubscriptions: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "roomspa_resubscriptions_total", Help: "How often the subscriber connection was lost and every group subscribed again.",
		}),
		groups: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "roomspa_redis_groups", Help: "Groups whose subscription Redis has confirmed.",
		}),
		joins: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "roomspa_redis_join_seconds", Help: "Time until a joined group was confirmed by Redis.", Buckets: latency,
		}),
		failedJoins: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "roomspa_redis_failed_joins_total", Help: "Joins that ended without a confirmed subscription.",
		}),
		echo: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "roomspa_redis_echo_seconds", Help: "Fan-out latency: time from handing in an own message to hearing it.", Buckets: latency,
		}),
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "roomspa_redis_up", Help: "1 while the channel layer is subscribed, hears itself and can publish.",
		}),
		tickets: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_tickets_total", Help: "Tickets that stand for a token once, by outcome: issued, redeemed, unknown (used before, too old, or made up), failed (Redis did not take it, or did not answer).",
		}, []string{"outcome"}),
	}
	if reg != nil {
		for _, c := range []prometheus.Collector{
			commands, m.pipeline, m.publish, m.deliveries, m.unreadable, m.resubscriptions,
			m.groups, m.joins, m.failedJoins, m.echo, m.up, m.tickets,
		} {
			reg.MustRegister(c) //nolint:forbidigo // the caller's registry, not the global one
		}
		registerPool(reg, client)
	}
	return m
}

func (m *metrics) ticket(outcome string) { m.tickets.WithLabelValues(outcome).Inc() }

// registerPool reports the pool of connections, which excludes the subscriber's.
func registerPool(reg prometheus.Registerer, client goredis.UniversalClient) {
	gauge := func(name, help string, value func(*goredis.PoolStats) uint32) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help},
			func() float64 { return float64(value(client.PoolStats())) })
	}
	counter := func(name, help string, value func(*goredis.PoolStats) uint32) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help},
			func() float64 { return float64(value(client.PoolStats())) })
	}
	for _, c := range []prometheus.Collector{
		gauge("roomspa_redis_pool_connections", "Open pooled connections.",
			func(s *goredis.PoolStats) uint32 { return s.TotalConns }),
		gauge("roomspa_redis_pool_idle_connections", "Open pooled connections that nobody uses.",
			func(s *goredis.PoolStats) uint32 { return s.IdleConns }),
		counter("roomspa_redis_pool_timeouts_total", "How often no pooled connection came free in time.",
			func(s *goredis.PoolStats) uint32 { return s.Timeouts }),
		counter("roomspa_redis_pool_stale_connections_total", "Pooled connections that were found dead.",
			func(s *goredis.PoolStats) uint32 { return s.StaleConns }),
	} {
		reg.MustRegister(c) //nolint:forbidigo // the caller's registry, not the global one
	}
}
