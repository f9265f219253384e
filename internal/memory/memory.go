// Package memory knows how much memory this process may use before the kernel kills
// it, and how much of that is used.
package memory

import (
	"fmt"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// every is how old a measurement may be. Handshakes ask at each socket, and what one of
// them takes is some KiB.
const every = 50 * time.Millisecond

// least is what a smaller limit is taken for where its share is asked for: what a crowd of
// handshakes takes between two looks, and the kernel for their sockets, are megabytes
// whatever the limit.
const least = 120 << 20

// collectEvery is how often the collector is asked for, while memory is short.
const collectEvery = 5 * time.Second

// A Meter knows a limit and measures against it. All sizes are bytes. A nil Meter knows
// of no limit, and there is memory for everything. It is safe for concurrent use.
type Meter struct {
	limit int64
	began time.Time
	due   atomic.Int64 // when it is to be measured again, since began
	used  atomic.Int64
	heap  atomic.Int64  // what the collector keeps to; 0 for nothing
	full  atomic.Uint64 // the share of that which is not garbage, as of a float64

	mu        sync.Mutex // measures
	from      *source
	runtime   []metrics.Sample
	collected time.Duration // when the collector was last asked for, since began
}

// live is what the collector's limit is held against: all that the runtime has, less what
// is free, less the objects, with those that were alive at the last collection.
var live = []struct {
	name string
	sign int64
}{
	{"/memory/classes/total:bytes", 1},
	{"/memory/classes/heap/released:bytes", -1},
	{"/memory/classes/heap/free:bytes", -1},
	{"/memory/classes/heap/unused:bytes", -1},
	{"/memory/classes/heap/objects:bytes", -1},
	{"/gc/heap/live:bytes", 1},
}

// New measures this process.
//
// With a limit of 0 the limit is that of its control group or, where it is smaller, of
// one around that; what counts is all that the kernel counts in that group (socket
// buffers and other processes too) less the pages of files, which it drops first. With a
// limit given by hand, what counts is the resident memory of this process alone.
//
// It is nil where there is no limit. An error says that there is one, and that it cannot be
// measured what is used of it.
func New(limit int64, reg prometheus.Registerer) (*Meter, error) { return at("/", limit, reg) }

// at is New in a file tree.
func at(root string, limit int64, reg prometheus.Registerer) (*Meter, error) {
	m := &Meter{limit: limit, began: time.Now(), runtime: make([]metrics.Sample, len(live))}
	for i, l := range live {
		m.runtime[i].Name = l.name
	}
	if limit > 0 {
		m.from = ownMemory(root)
	} else {
		m.from, m.limit = controlGroup(root)
	}
	switch {
	case m.limit == 0:
		return nil, nil //nolint:nilnil // no limit is no error
	case m.from == nil:
		return nil, fmt.Errorf("there is a memory limit of %d MiB, and this system does not say how much of it is used", m.limit>>20)
	}
	f := promauto.With(reg)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "roomspa_memory_limit_bytes",
		Help: "Memory that the replica may use before the kernel kills it, or --memory-limit.",
	}, func() float64 { return float64(m.limit) })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "roomspa_memory_used_bytes",
		Help: "What of that is used, without the pages of files, which the kernel drops first.",
	}, func() float64 { return float64(m.Used()) })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "roomspa_memory_used_ratio",
		Help: "Share of the memory that is used, as new sockets are judged by: also of what the collector keeps to, and of megabytes that have to be left.",
	}, m.Share)
	return m, nil
}

// Collector says what the collector keeps to (debug.SetMemoryLimit). Where too little of
// that is garbage it would be at work all the time, so that counts as a share too.
func (m *Meter) Collector(limit int64) {
	if m != nil {
		m.heap.Store(limit)
	}
}

// Limit returns the limit, and 0 for none.
func (m *Meter) Limit() int64 {
	if m == nil {
		return 0
	}
	return m.limit
}

// Used returns how much is used, as of 50 ms ago at most; 0 where that is not known.
func (m *Meter) Used() int64 {
	if m == nil {
		return 0
	}
	if now := time.Since(m.began); int64(now) >= m.due.Load() && m.mu.TryLock() {
		m.measure(now)
		m.mu.Unlock()
	}
	return m.used.Load()
}

func (m *Meter) measure(now time.Duration) {
	used, _ := m.from.measure() // 0 where it cannot be read any more: who knows nothing refuses nobody
	m.used.Store(used)
	if heap := m.heap.Load(); heap > 0 {
		metrics.Read(m.runtime)
		var bytes int64
		for i, l := range live {
			bytes += l.sign * int64(m.runtime[i].Value.Uint64()) //nolint:gosec // far below 2^63
		}
		// At four fifths, where it is at work four times as often as by itself, 0.9.
		m.full.Store(math.Float64bits(0.5 + float64(bytes)/float64(heap)/2))
	}
	m.due.Store(int64(now + every))
	if m.share() > 0.9 && now-m.collected > collectEvery {
		m.collected = now
		go debug.FreeOSMemory() // garbage shall not be why somebody is refused
	}
}

// Share returns which share of the limit is used, 1 for all of it. With a limit below 120
// MiB what is left counts as a share of those: at 0.9 that is 12 MiB. Where the collector
// is short of its own limit, it is what that comes to: 0.9 with a fifth of it left, 0.95
// with a tenth.
func (m *Meter) Share() float64 {
	if m == nil {
		return 0
	}
	m.Used()
	return m.share()
}

func (m *Meter) share() float64 {
	return max(1-float64(m.limit-m.used.Load())/float64(max(m.limit, least)), math.Float64frombits(m.full.Load()))
}

// Has reports whether there is so much more, with a twentieth of the limit left over, and
// 6 MiB at least.
func (m *Meter) Has(more int64) bool {
	return m == nil || m.Used()+more <= m.limit-max(m.limit, least)/20
}
