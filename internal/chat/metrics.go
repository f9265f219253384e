package chat

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/roomspa/roomspa/internal/logging"
)

type metrics struct {
	messages    map[string]prometheus.Counter
	commit      observer
	fanout      observer
	delivered   prometheus.Counter
	unpublished prometheus.Counter
	repairs     *prometheus.CounterVec
	sweeps      *prometheus.CounterVec
	resets      *prometheus.CounterVec
	drops       map[string]prometheus.Counter // by class
}

// seconds are histogram buckets for durations of milliseconds.
var seconds = []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	messages := f.NewCounterVec(prometheus.CounterOpts{
		Name: "roomspa_messages_total",
		Help: "Total chat messages received from clients, by outcome (stored, duplicate, refused, failed).",
	}, []string{"outcome"})
	m := &metrics{
		messages: map[string]prometheus.Counter{}, drops: map[string]prometheus.Counter{},
		commit: observer{histogram: f.NewHistogram(prometheus.HistogramOpts{
			Name: "roomspa_message_commit_seconds", Buckets: seconds,
			Help: "Time that chat messages wait for their commit in Postgres.",
		})},
		fanout: observer{histogram: f.NewHistogram(prometheus.HistogramOpts{
			Name: "roomspa_fanout_seconds", Buckets: seconds,
			Help: "Time from publishing a chat message on any replica to its arrival for one socket of this replica. Includes the clock difference between the replicas.",
		})},
		delivered: f.NewCounter(prometheus.CounterOpts{
			Name: "roomspa_messages_delivered_total",
			Help: "Total chat messages sent to clients. A message counts once for each socket.",
		}),
		unpublished: f.NewCounter(prometheus.CounterOpts{
			Name: "roomspa_messages_unpublished_total",
			Help: "Total stored chat messages that could not be published to Redis. They are delivered from Postgres later.",
		}),
		repairs: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_gap_repairs_total",
			Help: "Total reads from Postgres for messages that a socket missed, by cause (hole, missed, resume) and outcome (done, failed).",
		}, []string{"cause", "outcome"}),
		sweeps: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_sweeps_total",
			Help: "Total sweeps for undelivered messages, by outcome (done, failed, every_room). In every_room all sockets read Postgres, because the last sweep was too long ago.",
		}, []string{"outcome"}),
		resets: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_resets_total",
			Help: "Total sockets whose client was told to forget its messages, by cause (restored, resume). restored: the database was restored or replaced under an open socket. resume: a client resumed after a message that Postgres does not have.",
		}, []string{"cause"}),
	}
	for _, outcome := range []string{"stored", "duplicate", "refused", "failed"} {
		m.messages[outcome] = messages.WithLabelValues(outcome)
	}
	for _, class := range []string{classTyping, classPresence} {
		m.drops[class] = f.NewCounter(prometheus.CounterOpts{
			Name:        "roomspa_drops_total",
			Help:        "Total updates dropped before they were sent, because a newer one replaced them or there were too many, by class (location, typing, presence).",
			ConstLabels: prometheus.Labels{"class": class},
		})
	}
	return m
}

func (m *metrics) message(outcome string) { m.messages[outcome].Inc() }

// The times between two exemplars of a histogram. Exemplars take memory, so that few messages have
// one.
const (
	exemplarEvery = time.Second
	slowExemplar  = 100 * time.Millisecond // of values above slowSeconds
	slowSeconds   = .1
)

// An observer is a histogram some of whose values have an exemplar with the reference of a socket.
type observer struct {
	histogram prometheus.Histogram
	last      atomic.Int64 // Unix time in nanoseconds of the last exemplar
}

// observe records a value that a socket has seen at the time now, in Unix nanoseconds.
func (o *observer) observe(seconds float64, now int64, log *logging.Conn) {
	every := exemplarEvery
	if seconds >= slowSeconds {
		every = slowExemplar
	}
	if last := o.last.Load(); now-last >= int64(every) && o.last.CompareAndSwap(last, now) {
		if e, ok := o.histogram.(prometheus.ExemplarObserver); ok {
			e.ObserveWithExemplar(seconds, log.Exemplar())
			return
		}
	}
	o.histogram.Observe(seconds)
}
