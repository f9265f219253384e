package soak

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"
)

// progress says every few seconds how far the run is.
func (d *director) progress(ctx context.Context, length time.Duration) {
	tick := time.NewTicker(sayEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			var acknowledged, sockets, connected int64
			for _, c := range d.crowd.devices {
				acknowledged += c.acknowledged.Load()
				sockets += max(0, c.sockets.Load()-1)
				if c.connected.Load() {
					connected++
				}
			}
			d.mu.Lock()
			faults, going := len(d.faults), slices.Sorted(maps.Keys(d.going))
			d.mu.Unlock()
			now := "all is well"
			if len(going) > 0 {
				now = strings.Join(going, ", ")
			}
			say(d.out, "%v of %v: %d acknowledgements, %d faults, %d reconnects, %d of %d connected; now %s",
				time.Since(d.began).Round(time.Second), length, acknowledged, faults, sockets, connected, len(d.crowd.devices), now)
		}
	}
}
