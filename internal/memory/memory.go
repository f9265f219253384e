// Package memory measures how much of its memory limit the process uses, and keeps
// the garbage collector below that limit.
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

const (
	// measureEvery is the greatest age of a measurement. Every handshake asks, and one
	// handshake takes only some KiB.
	measureEvery = 50 * time.Millisecond
	// minBase is the smallest limit that Share and Fits calculate with. Between two
	// measurements, handshakes and their sockets in the kernel take megabytes, however
	// small the limit is.
	minBase = 120 << 20
	// collectEvery is the least time between two forced collections while memory is short.
	collectEvery = 5 * time.Second
)

// A Meter measures the use of a memory limit. All sizes are bytes. A nil Meter stands
// for no limit: nothing is used and everything fits. It is safe for concurrent use.
type Meter struct {
	root        string // of the file tree that describes the system
	limit       atomic.Int64
	processOnly bool // the limit was given by hand, and child processes are not counted
	reg         prometheus.Registerer
	registered  sync.Once
	heapOurs    bool // the garbage collector's limit is the meter's, and not GOMEMLIMIT's
	began       time.Time
	next        atomic.Int64 // time of the next measurement, since began
	used        atomic.Int64
	gcLimit     atomic.Int64  // the garbage collector's limit; 0 for none
	heapShare   atomic.Uint64 // share of gcLimit in use, as the bits of a float64

	mu        sync.Mutex // held while measuring
	source    *source    // nil if there is no limit
	group     string     // the directory of the control group that has the limit
	runtime   []metrics.Sample
	collected time.Duration // time of the last forced collection, since began
}

// liveBytes adds up to what the garbage collector cannot free: everything that the
// runtime holds, less free memory and all objects, plus the objects that were alive
// after the last collection.
var liveBytes = []struct {
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

// New returns a meter of this process.
//
// A limit of 0 stands for the limit of the process's control group, or of a group
// around it if that is smaller. Then the meter counts what the kernel counts in that
// group (socket buffers and other processes too) without file pages, which the kernel
// drops first. With any other limit, the meter counts the resident memory of this
// process alone.
//
// Without a limit everything fits, and the metrics are registered when [Meter.Follow] finds
// one. An error means that there is a limit whose use cannot be measured.
//
// The files of /proc and /sys are read below root, which is "/" for this system.
func New(root string, limit int64, reg prometheus.Registerer) (*Meter, error) {
	m := &Meter{root: root, reg: reg, began: time.Now(), runtime: make([]metrics.Sample, len(liveBytes))}
	for i, l := range liveBytes {
		m.runtime[i].Name = l.name
	}
	if limit > 0 {
		m.source, m.processOnly = processSource(root), true
		m.limit.Store(limit)
	} else if g := limitingGroup(root); g.limit > 0 {
		m.source, m.group = g.open(), g.dir
		m.limit.Store(g.limit)
	}
	switch {
	case m.Limit() == 0:
		return m, nil
	case m.source == nil:
		return nil, fmt.Errorf("the limit is %d MiB, but this system does not report how much of it is used", m.Limit()>>20)
	}
	m.registered.Do(m.register)
	return m, nil
}

func (m *Meter) register() {
	f := promauto.With(m.reg)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "roomspa_memory_limit_bytes",
		Help: "Memory limit of the replica in bytes: --memory-limit, or the current limit of its control group. 0 means that the limit was removed.",
	}, func() float64 { return float64(m.Limit()) })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "roomspa_memory_used_bytes",
		Help: "Memory use in bytes, excluding file pages, which the kernel can reclaim.",
	}, func() float64 { return float64(m.Used()) })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "roomspa_memory_used_ratio",
		Help: "Memory use from 0 to 1: the higher of total memory relative to the memory limit and live memory relative to the garbage collector's limit. New sockets are refused above 0.9.",
	}, m.Share)
}

// Limit returns the limit, or 0 if there is none.
func (m *Meter) Limit() int64 {
	if m == nil {
		return 0
	}
	return m.limit.Load()
}

// Used returns how much is used, measured at most 50 ms ago, or 0 if that is unknown.
func (m *Meter) Used() int64 {
	if m == nil {
		return 0
	}
	if now := time.Since(m.began); int64(now) >= m.next.Load() && m.mu.TryLock() {
		m.measure(now)
		m.mu.Unlock()
	}
	return m.used.Load()
}

func (m *Meter) measure(now time.Duration) {
	var used int64
	if m.source != nil {
		used, _ = m.source.measure() // 0 if the files cannot be read any more: without a measurement nobody is refused
	}
	m.used.Store(used)
	if limit := m.gcLimit.Load(); limit > 0 {
		metrics.Read(m.runtime)
		var live int64
		for i, l := range liveBytes {
			live += l.sign * int64(m.runtime[i].Value.Uint64()) //nolint:gosec // far below 2^63
		}
		// Live memory of four fifths of the limit counts as 0.9: from there on the
		// collector runs at least four times as often as it would without a limit.
		m.heapShare.Store(math.Float64bits(0.5 + float64(live)/float64(limit)/2))
	}
	m.next.Store(int64(now + measureEvery))
	if m.share() > 0.9 && now-m.collected > collectEvery {
		m.collected = now
		go debug.FreeOSMemory() // nobody is to be refused because of garbage
	}
}

// Share returns the share of the limit that is used, 1 for all of it.
//
// If the limit is below 120 MiB, the share is calculated from the free memory and 120
// MiB: it is 0.9 when 12 MiB are free. If the garbage collector is close to its own
// limit, the share follows that: it is 0.9 when a fifth of it is left, and 0.95 when
// a tenth is left.
func (m *Meter) Share() float64 {
	if m == nil {
		return 0
	}
	m.Used()
	return m.share()
}

func (m *Meter) share() float64 {
	limit := m.limit.Load()
	if limit == 0 {
		return 0
	}
	free := float64(limit - m.used.Load())
	return max(1-free/float64(max(limit, minBase)), math.Float64frombits(m.heapShare.Load()))
}

// Fits reports whether so many more bytes fit into the limit while a twentieth of it,
// and at least 6 MiB, stays free.
func (m *Meter) Fits(bytes int64) bool {
	limit := m.Limit()
	return limit == 0 || m.Used()+bytes <= limit-max(limit, minBase)/20
}
