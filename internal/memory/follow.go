package memory

import (
	"context"
	"time"
)

// followEvery is the time between two reads of the control group's limit. Kubernetes resizes
// containers in place, and the kernel tells nobody.
const followEvery = 5 * time.Second

// Follow reads the limit of the control group again, every 5 seconds until ctx ends, and
// calls changed after each change. A limit that cannot be read, or whose use cannot be
// measured, leaves the former one in force. It returns at once if the limit was given to [New].
func (m *Meter) Follow(ctx context.Context, changed func(before, now int64)) {
	if m == nil || m.processOnly {
		return
	}
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if before, now := m.Limit(), m.readAgain(); before != now {
			changed(before, now)
		}
	}
}

// readAgain takes over the limit of the control group and returns it.
func (m *Meter) readAgain() int64 {
	g, before := limitingGroup(m.root), m.Limit()
	if !g.known || g.limit == before && (g.limit == 0 || g.dir == m.group) {
		return before
	}
	var s *source
	if g.limit > 0 {
		if s = g.open(); s == nil {
			return before
		}
		m.registered.Do(m.register)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.source != nil {
		m.source.close()
	}
	m.source, m.group = s, g.dir
	m.limit.Store(g.limit)
	m.next.Store(0) // the next question measures
	return g.limit
}
