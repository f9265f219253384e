package inspect

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Rates are how often something happened per second, since the sample before.
type Rates struct {
	Messages   float64 `json:"messages"`   // stored
	Delivered  float64 `json:"delivered"`  // messages to sockets
	Positions  float64 `json:"positions"`  // published
	Handshakes float64 `json:"handshakes"` // accepted
	Refusals   float64 `json:"refusals"`   // handshakes, connections and sign-ins that were refused
	Failures   float64 `json:"failures"`   // handshakes and messages that failed by the server's fault
	Closes     float64 `json:"closes"`     // sockets
}

func (r Rates) plus(o Rates) Rates {
	return Rates{
		r.Messages + o.Messages, r.Delivered + o.Delivered, r.Positions + o.Positions, r.Handshakes + o.Handshakes,
		r.Refusals + o.Refusals, r.Failures + o.Failures, r.Closes + o.Closes,
	}
}

// counters are the sums of metrics: since the start, and as of now.
type counters struct {
	Rates // totals

	sockets     map[string]int // by endpoint and dialect
	memory      int64
	memoryLimit int64
	held        int64
	budget      int64
}

// A series is one line of /metrics.
type series struct {
	name   string
	labels map[string]string
	value  float64
}

// readCounters reads the metrics. It takes about a millisecond, so it is done only when
// somebody asks.
func readCounters(from prometheus.Gatherer) (c counters, err error) {
	families, err := from.Gather()
	if err != nil {
		return c, fmt.Errorf("read the metrics: %w", err)
	}
	c.sockets = map[string]int{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			s := series{f.GetName(), map[string]string{}, m.GetCounter().GetValue() + m.GetGauge().GetValue()}
			for _, l := range m.GetLabel() {
				s.labels[l.GetName()] = l.GetValue()
			}
			c.add(s)
		}
	}
	return c, nil
}

func (c *counters) add(s series) {
	outcome := s.labels["outcome"]
	switch s.name {
	case "roomspa_messages_total":
		switch outcome {
		case "stored":
			c.Messages += s.value
		case "failed":
			c.Failures += s.value
		}
	case "roomspa_messages_delivered_total":
		c.Delivered += s.value
	case "roomspa_positions_total":
		if outcome == "published" {
			c.Positions += s.value
		}
	case "roomspa_handshakes_total":
		switch outcome {
		case "accepted":
			c.Handshakes += s.value
		case "refused":
			c.Refusals += s.value
		default:
			c.Failures += s.value
		}
	case "roomspa_connections_refused_total":
		c.Refusals += s.value
	case "roomspa_logins_total":
		if outcome != "ok" {
			c.Refusals += s.value
		}
	case "roomspa_closes_total":
		c.Closes += s.value
	case "roomspa_connections":
		c.sockets[s.labels["endpoint"]+" "+s.labels["dialect"]] += int(s.value)
	case "roomspa_memory_used_bytes":
		c.memory = int64(s.value)
	case "roomspa_memory_limit_bytes":
		c.memoryLimit = int64(s.value)
	case "roomspa_budget_held_bytes":
		c.held = int64(s.value)
	case "roomspa_budget_bytes":
		c.budget = int64(s.value)
	}
}

const (
	// minSpan and maxSpan bound the time between the two samples of a rate.
	minSpan, maxSpan = time.Second, 30 * time.Second
	// firstSpan is that time if nobody has asked before.
	firstSpan = 300 * time.Millisecond
)

// rates compares samples of the counters. It has none while nobody asks.
type rates struct {
	read func() (counters, error)

	mu      sync.Mutex
	samples []sample // oldest first
}

type sample struct {
	counters
	at time.Time
}

// measure returns the counters as of now, and the rates since a sample before.
func (r *rates) measure(ctx context.Context) (c counters, perSecond Rates, err error) {
	before, err := r.before(time.Now())
	if err != nil {
		return c, perSecond, err
	}
	if span := firstSpan - time.Since(before.at); span > 0 {
		select {
		case <-time.After(span):
		case <-ctx.Done():
			return c, perSecond, fmt.Errorf("measure rates: %w", ctx.Err())
		}
	}
	if c, err = r.read(); err != nil {
		return c, perSecond, err
	}
	return c, since(&before.Rates, &c.Rates, time.Since(before.at)), nil
}

// before returns the newest sample that is old enough, and takes one for later. Without one it
// returns the one that it takes.
func (r *rates) before(now time.Time) (s sample, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.samples) > 0 && now.Sub(r.samples[0].at) > maxSpan {
		r.samples = r.samples[1:]
	}
	for _, older := range r.samples {
		if now.Sub(older.at) >= minSpan {
			s = older
		}
	}
	if n := len(r.samples); n > 0 && now.Sub(r.samples[n-1].at) < minSpan/2 {
		if s.at.IsZero() {
			s = r.samples[0]
		}
		return s, nil
	}
	c, err := r.read()
	if err != nil {
		return s, err
	}
	r.samples = append(r.samples, sample{c, now})
	if s.at.IsZero() {
		s = r.samples[0]
	}
	return s, nil
}

func since(before, now *Rates, span time.Duration) Rates {
	rate := func(b, n float64) float64 { return max(0, n-b) / span.Seconds() }
	return Rates{
		rate(before.Messages, now.Messages), rate(before.Delivered, now.Delivered), rate(before.Positions, now.Positions),
		rate(before.Handshakes, now.Handshakes), rate(before.Refusals, now.Refusals), rate(before.Failures, now.Failures), rate(before.Closes, now.Closes),
	}
}
