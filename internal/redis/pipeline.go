package redis

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/roomspa/roomspa/internal/batch"
)

const (
	maxBatch       = 512      // commands in one round trip
	maxQueued      = 8192     // commands in the queues of a client
	maxQueuedBytes = 32 << 20 // and the bytes of their payloads
)

type kind uint8

const (
	publish  kind = iota
	announce      // a publish that always is PUBLISH
	set
	probe // a publish that is sent even while the pipeline is down
)

// A command waits to be sent, or is being sent.
type command struct {
	kind      kind
	name      string // the channel or key
	payload   []byte
	ttl       time.Duration
	done      func(error)
	submitted time.Time
}

// A Pipeline sends commands to Redis in the order in which they were submitted. All
// queued commands go out in one round trip, one round trip at a time. While Redis
// accepts no commands, the pipeline is down: it refuses new commands at once, so that
// no backlog builds up, until a probe succeeds. It is down until the first one does.
//
// Its methods may be called concurrently. They neither block nor copy the payload,
// which must not change any more. done may be nil and must not block. It is called once:
// with nil when Redis has accepted the command, or with an error that wraps
// [room.ErrUnavailable]. A command that is refused calls it before the method returns.
// A command that failed later may have been executed nevertheless.
type Pipeline struct {
	client *Client
	sender *sender
	queue  *batch.Queue[command]
	load   *load                 // shared by all pipelines of the client
	down   atomic.Pointer[error] // why the pipeline is down; nil while it is up
	report func(error)
	errs   []error // of the current round trip
}

// A load is what is queued.
type load struct {
	commands atomic.Int64
	bytes    atomic.Int64 // of their payloads
}

func newPipeline(c *Client, l *load) *Pipeline {
	p := &Pipeline{client: c, load: l, sender: newSender(c)}
	p.down.Store(&errStarting)
	p.queue = batch.New(maxBatch, maxQueued, p.send)
	return p
}

// Run sends commands until ctx ends, then those that are still queued, and returns.
// report is called by the same goroutine when the pipeline comes up (nil) and whenever a
// round trip shows that it is down (the reason). It must not block. Call Run once.
func (p *Pipeline) Run(ctx context.Context, report func(error)) {
	p.report = report
	p.queue.Run(ctx)
	p.down.Store(&errStopped)
}

// Publish publishes a sealed event on a channel.
func (p *Pipeline) Publish(channel string, payload []byte, done func(error)) {
	p.submit(command{kind: publish, name: channel, payload: payload, done: done})
}

// Announce publishes on a channel that belongs to no deployment.
func (p *Pipeline) Announce(channel string, payload []byte) {
	p.submit(command{kind: announce, name: channel, payload: payload})
}

// Probe publishes a sealed event on a channel even while the pipeline is down. Its outcome
// decides whether the pipeline is up.
func (p *Pipeline) Probe(channel string, payload []byte, done func(error)) {
	p.submit(command{kind: probe, name: channel, payload: payload, done: done})
}

func (p *Pipeline) submit(c command) {
	if reason := p.down.Load(); reason != nil && c.kind != probe {
		p.refuse(&c, *reason)
		return
	}
	size := int64(len(c.payload))
	full := p.load.commands.Add(1) > maxQueued
	full = p.load.bytes.Add(size) > maxQueuedBytes || full
	c.submitted = time.Now()
	if full || !p.queue.Add(c) {
		p.load.commands.Add(-1)
		p.load.bytes.Add(-size)
		p.refuse(&c, errQueueFull)
	}
}

func (p *Pipeline) refuse(c *command, reason error) {
	p.client.metrics.refused.Inc()
	if c.done != nil {
		c.done(p.client.unavailable(c.attempt(), reason))
	}
}

// send sends a batch and finishes each of its commands once.
func (p *Pipeline) send(ctx context.Context, batch []command) {
	var size int64
	for i := range batch {
		size += int64(len(batch[i].payload))
	}
	p.load.commands.Add(-int64(len(batch)))
	p.load.bytes.Add(-size)
	if reason := p.down.Load(); reason != nil {
		if batch = p.refuseAllButProbes(batch, *reason); len(batch) == 0 {
			return
		}
	}
	if len(batch) > 1 || batch[0].kind != probe {
		p.client.metrics.pipeline.Observe(float64(len(batch)))
	}
	p.errs = append(p.errs[:0], make([]error, len(batch))...)
	ctx, cancel := p.client.withTimeout(ctx)
	p.sender.send(ctx, batch, p.errs)
	cancel()
	p.updateState(batch)
	now := time.Now()
	for i := range batch {
		p.finish(&batch[i], p.errs[i], now)
	}
}

// refuseAllButProbes refuses commands that were queued before the pipeline went down,
// and returns the probes.
func (p *Pipeline) refuseAllButProbes(batch []command, reason error) []command {
	var probes []command
	for i := range batch {
		if batch[i].kind == probe {
			probes = append(probes, batch[i])
		} else {
			p.refuse(&batch[i], reason)
		}
	}
	return probes
}

// updateState decides from the outcome of a round trip whether the pipeline is down.
// The last probe decides. Without a probe the pipeline goes down if at least one command
// got no reply and none succeeded: in a cluster, commands go to several servers.
func (p *Pipeline) updateState(batch []command) {
	var broken error
	succeeded, probed := false, false
	for i := range batch {
		err := p.errs[i]
		switch {
		case batch[i].kind == probe:
			probed, broken = true, err
		case err == nil:
			succeeded = true
		case broken == nil && !probed && !isReply(err):
			broken = err
		}
	}
	wasDown := p.down.Load() != nil
	switch {
	case broken != nil && (probed || !succeeded):
		reason := p.client.explain(broken)
		p.down.Store(&reason)
		p.sender.reroute()
		p.client.reloadSlots(context.Background()) //nolint:forbidigo // it does not block
		p.report(reason)
	case probed && wasDown:
		p.down.Store(nil)
		p.report(nil)
	}
}

func (p *Pipeline) finish(c *command, err error, now time.Time) {
	switch {
	case err != nil:
		err = p.client.unavailable(c.attempt(), err)
		if c.kind != probe {
			p.client.metrics.failed.Inc()
		}
	case c.kind != probe:
		p.client.metrics.published.Inc()
		p.client.metrics.publish.Observe(now.Sub(c.submitted).Seconds())
	}
	if c.done != nil {
		c.done(err)
	}
}

func (c *command) attempt() string {
	switch c.kind {
	case publish, announce, probe:
		return "publish to " + c.name
	default:
		return "save " + c.name
	}
}
