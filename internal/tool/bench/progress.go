package bench

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// progress says every second how far the run is, until it is stopped.
func (r *run) progress(ctx context.Context) (stop func()) {
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
			f, o := r.window.frames.Load(), r.tally.opened.Load()
			_, _ = fmt.Fprintln(r.o.Progress, r.line(o-opened, f-frames)) // who does not listen is not told
			frames, opened = f, o
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

func (r *run) line(opened, frames int64) string {
	at := fmt.Sprintf("%4.0fs ", r.now().Seconds())
	t, w := &r.tally, &r.window
	switch t.phase.Load() {
	case phaseDialling:
		return at + fmt.Sprintf("opening: %d of %d sockets, %d/s, %d failed", t.opened.Load(), r.o.Sockets, opened, t.failed.Load())
	case phaseWarming:
		return at + fmt.Sprintf("warming up: %d sent", t.sent.Load())
	case phaseMeasuring:
		l := w.latency.latency()
		return at + fmt.Sprintf("measuring: %d frames/s, p50 %.1f ms, p99 %.1f ms so far, %d sent", frames, l.P50, l.P99, t.sent.Load())
	case phaseHolding:
		return at + fmt.Sprintf("holding %d sockets", t.opened.Load())
	default:
		return at + "waiting for what is still under way"
	}
}
