package chat

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	messages    map[string]prometheus.Counter
	commit      prometheus.Histogram
	fanout      prometheus.Histogram
	delivered   prometheus.Counter
	unpublished prometheus.Counter
	repairs     *prometheus.CounterVec
	sweeps      *prometheus.CounterVec
}

// seconds are the buckets of what should take milliseconds.
var seconds = []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	messages := f.NewCounterVec(prometheus.CounterOpts{
		Name: "roomspa_messages_total",
		Help: "Chat messages that clients sent, by outcome: stored, duplicate, refused, rate_limited, failed.",
	}, []string{"outcome"})
	m := &metrics{
		messages: map[string]prometheus.Counter{},
		commit: f.NewHistogram(prometheus.HistogramOpts{
			Name: "roomspa_message_commit_seconds", Buckets: seconds,
			Help: "Time from a message's validation to its commit, as its sender waited for it.",
		}),
		fanout: f.NewHistogram(prometheus.HistogramOpts{
			Name: "roomspa_fanout_seconds", Buckets: seconds,
			Help: "Time from a message's publishing on one replica to its arrival for a socket on this one; clocks that differ show here.",
		}),
		delivered: f.NewCounter(prometheus.CounterOpts{
			Name: "roomspa_messages_delivered_total",
			Help: "Chat messages handed to sockets, each socket counted.",
		}),
		unpublished: f.NewCounter(prometheus.CounterOpts{
			Name: "roomspa_messages_unpublished_total",
			Help: "Stored messages that Redis did not take; they are delivered from Postgres later.",
		}),
		repairs: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_gap_repairs_total",
			Help: "Reads from Postgres of what a socket had not got, by cause (hole, missed, resume) and outcome.",
		}, []string{"cause", "outcome"}),
		sweeps: f.NewCounterVec(prometheus.CounterOpts{
			Name: "roomspa_sweeps_total",
			Help: "Looks for messages that no socket could know it missed, by outcome (done, failed, every_room).",
		}, []string{"outcome"}),
	}
	for _, outcome := range []string{"stored", "duplicate", "refused", "rate_limited", "failed"} {
		m.messages[outcome] = messages.WithLabelValues(outcome)
	}
	return m
}

func (m *metrics) message(outcome string) { m.messages[outcome].Inc() }
