package redis

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/roomspa/roomspa/internal/batch"
)

const (
	pipelineMost = 512      // commands in one pipeline
	waitingMost  = 8192     // commands that wait for theirs
	waitingBytes = 32 << 20 // and what they hold
)

// What a command does.
type kind uint8

const (
	publish kind = iota
	set
	setIfNewer
	probe // a publish that is tried even while the publisher is known to be down
)

// An op is one command that waits to be sent.
type op struct {
	kind     kind
	name     string // the channel or key
	payload  []byte
	recorded int64 // microseconds since 1970, of setIfNewer
	ttl      time.Duration
	done     func(error)
	since    time.Time
}

// A publisher sends commands in the order in which they were handed in, all that
// wait in one pipeline, one pipeline at a time. When Redis takes nothing it
// refuses at once whatever is handed in, until a probe has gone through: no
// queue of payloads builds up.
type publisher struct {
	pipeline *pipeline
	queue    *batch.Queue[op]
	waiting  atomic.Int64 // commands
	bytes    atomic.Int64 // that they hold
	down     atomic.Pointer[error]
	report   func(error) // told whenever down changes
	metrics  *metrics
	errs     []error // of the pipeline under way
}

func newPublisher(p *pipeline, m *metrics, report func(error)) *publisher {
	pub := &publisher{pipeline: p, metrics: m, report: report}
	pub.down.Store(&errStarting)
	pub.queue = batch.New(pipelineMost, waitingMost, pub.send)
	return pub
}

// submit hands in a command, or fails it at once. It never blocks.
func (p *publisher) submit(o op) {
	if why := p.down.Load(); why != nil && o.kind != probe {
		p.refuse(&o, *why)
		return
	}
	size := int64(len(o.payload))
	full := p.waiting.Add(1) > waitingMost
	full = p.bytes.Add(size) > waitingBytes || full
	o.since = time.Now()
	if full || !p.queue.Add(o) {
		p.waiting.Add(-1)
		p.bytes.Add(-size)
		p.refuse(&o, errFull)
	}
}

func (p *publisher) refuse(o *op, why error) {
	p.metrics.refused.Inc()
	if o.done != nil {
		o.done(unavailable(o.attempt(), why))
	}
}

// send sends what has waited. Whatever happens, each op is done once.
func (p *publisher) send(ctx context.Context, ops []op) {
	var size int64
	for i := range ops {
		size += int64(len(ops[i].payload))
	}
	p.waiting.Add(-int64(len(ops)))
	p.bytes.Add(-size)
	if why := p.down.Load(); why != nil {
		if ops = p.onlyProbes(ops, *why); len(ops) == 0 {
			return
		}
	}
	if len(ops) > 1 || ops[0].kind != probe {
		p.metrics.pipeline.Observe(float64(len(ops)))
	}
	p.errs = append(p.errs[:0], make([]error, len(ops))...)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	p.pipeline.send(ctx, ops, p.errs)
	cancel()
	p.judge(ops)
	now := time.Now()
	for i := range ops {
		p.finish(&ops[i], p.errs[i], now)
	}
}

// onlyProbes refuses the commands that were handed in before it was known that
// Redis takes none, and returns the probes.
func (p *publisher) onlyProbes(ops []op, why error) []op {
	var probes []op
	for i := range ops {
		if ops[i].kind == probe {
			probes = append(probes, ops[i])
		} else {
			p.refuse(&ops[i], why)
		}
	}
	return probes
}

// judge decides from a pipeline's outcome whether Redis takes commands. A probe
// knows best; without one, a command that got no answer says no, and one that
// was taken leaves it open, since its neighbours may have gone elsewhere.
func (p *publisher) judge(ops []op) {
	var broken error
	taken, known := false, false
	for i := range ops {
		err := p.errs[i]
		switch {
		case ops[i].kind == probe:
			known, broken = true, err
		case err == nil:
			taken = true
		case broken == nil && !known && !answered(err):
			broken = err
		}
	}
	was := p.down.Load()
	switch {
	case broken != nil && (known || !taken):
		why := plain(broken)
		p.down.Store(&why)
		p.pipeline.elsewhere()
		p.report(why)
	case known && was != nil:
		p.down.Store(nil)
		p.report(nil)
	}
}

func (p *publisher) finish(o *op, err error, now time.Time) {
	switch {
	case err != nil:
		err = unavailable(o.attempt(), err)
		if o.kind != probe {
			p.metrics.failed.Inc()
		}
	case o.kind != probe:
		p.metrics.published.Inc()
		p.metrics.publish.Observe(now.Sub(o.since).Seconds())
	}
	if o.done != nil {
		o.done(err)
	}
}

func (o *op) attempt() string {
	switch o.kind {
	case publish, probe:
		return "publish to " + o.name
	default:
		return "save " + o.name
	}
}
