package memory

import (
	"context"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// LimitHeap sets the garbage collector's memory limit below the meter's limit and returns
// it. children is the number of bytes that child processes may take: they are reserved if the
// limit is that of a control group, which counts them too. Near that limit the collector works
// harder, so that nobody is refused because of garbage. A GOMEMLIMIT that is set
// stays in force. Without a limit the collector has none either, and it returns 0.
//
// It changes the whole process: only the owner of the process may call it, and again
// after each change that [Meter.Follow] reports, one call at a time.
func (m *Meter) LimitHeap(children int64) int64 {
	if m == nil {
		return 0
	}
	limit := debug.SetMemoryLimit(-1)
	m.heapOurs = m.heapOurs || limit == math.MaxInt64 // else GOMEMLIMIT is set
	if m.heapOurs {
		limit = m.heapLimit(children)
		debug.SetMemoryLimit(limit)
	}
	if m.Limit() == 0 {
		limit = 0
	}
	m.gcLimit.Store(limit)
	return limit
}

// heapLimit returns the garbage collector's limit. It leaves a fifth of the limit to the program, the kernel's socket buffers
// and the distance to the share at which sockets are refused. Below half of the limit
// the collector would run all the time.
func (m *Meter) heapLimit(children int64) int64 {
	limit := m.Limit()
	if limit == 0 {
		return math.MaxInt64
	}
	if m.processOnly {
		children = 0
	}
	return max(limit/2, limit/5*4-children)
}

const (
	// burst is how many bytes must be allocated before memory is returned: about 800
	// handshakes. For less, a collection costs more than it gives.
	burst = 16 << 20
	// calm is how many bytes may be allocated within a second after a burst has ended.
	calm = 2 << 20
)

// ReturnAfterBursts returns unused memory to the operating system after each burst of
// work, until ctx ends. Without it the runtime keeps what handshakes and messages of a
// busy hour have used, and the replica's memory does not show what its sockets need.
//
// It works on the whole process: only the owner of the process may call it, once.
func ReturnAfterBursts(ctx context.Context) {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	afterBursts(ctx, func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}, func() {
		// A stack shrinks by half in a collection, and a message grows a reader's twice.
		debug.FreeOSMemory()
		debug.FreeOSMemory()
	})
}

// afterBursts calls free when a burst has ended. The bytes that allocated returns only grow.
func afterBursts(ctx context.Context, allocated func() uint64, free func()) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	freed, before := allocated(), allocated()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := allocated()
		if now-freed >= burst && now-before <= calm {
			free()
			now = allocated()
			freed = now
		}
		before = now
	}
}
