package bench

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// What a run is doing.
const (
	phaseDialling int32 = iota
	phaseWarming
	phaseMeasuring
	phaseHolding
	phaseDraining
	phaseDone
)

// A tally is what all sockets count together.
type tally struct {
	phase          atomic.Int32
	opened, failed atomic.Int64
	dialling       atomic.Int64 // nanoseconds that opening all took
	sent           atomic.Int64
	stalls         atomic.Int64
	misdelivered   atomic.Int64 // seen in another room
	foreign        atomic.Int64 // not of this run
	late           atomic.Bool  // messages were still arriving when nobody waited any longer
	handshake      histogram

	mu       sync.Mutex
	failures map[string]int64
	closes   map[string]int64
	refusals map[string]int64
}

func (t *tally) count(m *map[string]int64, what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if *m == nil {
		*m = map[string]int64{}
	}
	if _, known := (*m)[what]; !known && len(*m) >= 50 {
		what = "other"
	}
	(*m)[what]++
}

func (t *tally) fail(what string)   { t.count(&t.failures, what) }
func (t *tally) close(what string)  { t.count(&t.closes, what) }
func (t *tally) refuse(what string) { t.count(&t.refusals, what) }

// why returns the most frequent failure of a handshake.
func (t *tally) why() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	most := slices.MaxFunc(append(slices.Collect(maps.Keys(t.failures)), ""), func(a, b string) int {
		return cmp.Compare(t.failures[a], t.failures[b])
	})
	return cmp.Or(most, "interrupted")
}

// copied returns a copy of one of the maps.
func (t *tally) copied(m *map[string]int64) map[string]int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(*m)
}

// A window is what is measured: the messages that were due in it.
type window struct {
	from, to atomic.Int64 // nanoseconds since the run began; to is 0 while it is open
	frames   atomic.Int64 // delivered, all sockets
	messages atomic.Int64 // delivered, by sender: their own echo, once each
	ended    atomic.Int64 // when the last of them was delivered
	latency  histogram    // to the others
	echo     histogram    // back to the sender
	ack      histogram
}

func (w *window) has(due time.Duration) bool {
	from, to := w.from.Load(), w.to.Load()
	return from > 0 && int64(due) >= from && (to == 0 || int64(due) < to)
}

func (w *window) delivered(own bool, due, now time.Duration) {
	if !w.has(due) {
		return
	}
	w.frames.Add(1)
	w.ended.Store(int64(now))
	if own {
		w.messages.Add(1)
		w.echo.record(now - due)
	} else {
		w.latency.record(now - due)
	}
}

func (w *window) acked(due, now time.Duration) {
	if w.has(due) {
		w.ack.record(now - due)
	}
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
