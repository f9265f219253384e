package bench

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// startProgress writes a line about the run every second, until stop is called.
func (r *run) startProgress(ctx context.Context) (stop func()) {
	if r.o.Progress == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		var frames, opened int64
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			f, o := r.window.frames.Load(), r.totals.opened.Load()
			_, _ = fmt.Fprintln(r.o.Progress, r.progressLine(o-opened, f-frames)) // the report does not depend on it
			frames, opened = f, o
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// progressLine takes the numbers of the last second.
func (r *run) progressLine(opened, frames int64) string {
	at := fmt.Sprintf("%4.0fs ", r.now().Seconds())
	t, w := &r.totals, &r.window
	switch t.phase.Load() {
	case phaseDialling:
		return at + fmt.Sprintf("opening sockets: %d of %d open, %d/s, %d failed", t.opened.Load(), r.o.Sockets, opened, t.failed.Load())
	case phaseWarming:
		return at + fmt.Sprintf("warming up: %d messages sent", t.sent.Load())
	case phaseMeasuring:
		l := w.latency.latency()
		return at + fmt.Sprintf("measuring: %d frames/s, p50 %.1f ms, p99 %.1f ms so far, %d messages sent", frames, l.P50, l.P99, t.sent.Load())
	case phaseHolding:
		return at + fmt.Sprintf("holding %d sockets open", t.opened.Load())
	default:
		return at + "waiting for late deliveries"
	}
}
