package channel

import "github.com/prometheus/client_golang/prometheus"

// metrics holds the metrics of the package. No label names a user, a room or a group.
type metrics struct {
	deliveries      prometheus.Counter
	resubscriptions prometheus.Counter
	groups          prometheus.Gauge
	joins           prometheus.Histogram
	failedJoins     prometheus.Counter
	echo            prometheus.Histogram
	up              prometheus.Gauge
	sharded         prometheus.Gauge
}

// newMetrics returns the metrics. It registers them unless reg is nil.
func newMetrics(reg prometheus.Registerer) *metrics {
	latency := []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}
	m := &metrics{
		deliveries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "roomspa_redis_deliveries_total", Help: "Total events delivered to members of groups on this replica.",
		}),
		resubscriptions: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "roomspa_resubscriptions_total", Help: "Total subscription connections to Redis that were lost or given up. After each one the replica subscribes again to the groups of that connection: in Redis Cluster those of one hash tag, else all.",
		}),
		groups: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "roomspa_redis_groups", Help: "Number of groups whose subscription Redis has confirmed.",
		}),
		joins: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "roomspa_redis_join_seconds", Help: "Time from joining a group to the confirmation by Redis, in seconds.", Buckets: latency,
		}),
		failedJoins: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "roomspa_redis_failed_joins_total", Help: "Total joins that failed because Redis did not confirm the subscription in time.",
		}),
		echo: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "roomspa_redis_echo_seconds", Help: "Fan-out latency: time from publishing an echo to receiving it on the same replica, in seconds.", Buckets: latency,
		}),
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "roomspa_redis_up", Help: "1 if every shard of the channel layer is subscribed, can publish and receives its own echoes, else 0.",
		}),
		sharded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "roomspa_redis_sharded", Help: "1 if the replica listens to sharded Pub/Sub of Redis Cluster, 0 if it listens to plain Pub/Sub.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.deliveries, m.resubscriptions, m.groups, m.joins, m.failedJoins, m.echo, m.up, m.sharded) //nolint:forbidigo // the caller's registry, not the global one
	}
	return m
}
