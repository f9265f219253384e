// Package memory knows how much memory this process may use before the kernel kills
// it, and how much of that is used.
package memory

import (
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

// A Meter knows a limit and measures against it. All sizes are bytes. A nil Meter knows
// of no limit, and there is memory for everything. It is safe for concurrent use.
type Meter struct {
	limit int64
	began time.Time
	due   atomic.Int64 // when it is to be measured again, since began
	used  atomic.Int64

	mu   sync.Mutex // measures
	from *source
}

// New measures this process.
//
// With a limit of 0 the limit is that of its control group or, where it is smaller, of
// one around that; what counts is all that the kernel counts in that group (page cache,
// socket buffers, other processes), less the file pages that it can drop, as the kubelet
// does. With a limit given by hand, what counts is the resident memory of this process
// alone.
//
// It is nil where there is no limit, or nothing can be measured.
func New(limit int64, reg prometheus.Registerer) *Meter { return at("/", limit, reg) }

// at is New in a file tree.
func at(root string, limit int64, reg prometheus.Registerer) *Meter {
	m := &Meter{limit: limit, began: time.Now()}
	if limit > 0 {
		m.from = ownMemory(root)
	} else {
		m.from, m.limit = controlGroup(root)
	}
	if m.from == nil {
		return nil
	}
	f := promauto.With(reg)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "roomspa_memory_limit_bytes",
		Help: "Memory that the replica may use before the kernel kills it, or --memory-limit.",
	}, func() float64 { return float64(m.limit) })
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "roomspa_memory_used_bytes",
		Help: "What of that is used, without the file pages that the kernel can drop.",
	}, func() float64 { return float64(m.Used()) })
	return m
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
	if now := int64(time.Since(m.began)); now >= m.due.Load() && m.mu.TryLock() {
		used, _ := m.from.measure() // 0 where it cannot be read any more: who knows nothing refuses nobody
		m.used.Store(used)
		m.due.Store(now + int64(every))
		m.mu.Unlock()
	}
	return m.used.Load()
}

// Share returns which share of the limit is used, 1 for all of it. With a limit below 120
// MiB what is left counts as a share of those: at 0.9 that is 12 MiB.
func (m *Meter) Share() float64 {
	if m == nil {
		return 0
	}
	return 1 - float64(m.limit-m.Used())/float64(max(m.limit, least))
}

// Has reports whether there is so much more, with a twentieth of the limit left over, and
// 6 MiB at least.
func (m *Meter) Has(more int64) bool {
	return m == nil || m.Used()+more <= m.limit-max(m.limit, least)/20
}
