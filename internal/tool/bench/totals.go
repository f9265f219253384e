package bench

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// The phases of a run.
const (
	phaseDialling int32 = iota
	phaseWarming
	phaseMeasuring
	phaseHolding
	phaseDraining
)

// totals are the counts of the whole run.
type totals struct {
	phase          atomic.Int32
	opened, failed atomic.Int64 // handshakes
	dialling       atomic.Int64 // nanoseconds until the last socket was open
	sent           atomic.Int64
	stalls         atomic.Int64
	misdelivered   atomic.Int64 // received in another room
	foreign        atomic.Int64 // not sent by this run
	late           atomic.Bool  // messages still arrived at the end of the drain time
	handshake      histogram
	state          stateCounts

	mu       sync.Mutex // guards the maps, which are nil while empty
	failures map[string]int64
	closes   map[string]int64
	refusals map[string]int64
}

// maxWords bounds the number of distinct words in a map of totals.
const maxWords = 50

// count increments a word's count in one of the maps of t.
func (t *totals) count(m *map[string]int64, word string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if *m == nil {
		*m = map[string]int64{}
	}
	if _, known := (*m)[word]; !known && len(*m) >= maxWords {
		word = "other"
	}
	(*m)[word]++
}

// commonFailure returns the most frequent reason why a handshake failed.
func (t *totals) commonFailure() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	most := slices.MaxFunc(append(slices.Collect(maps.Keys(t.failures)), ""), func(a, b string) int {
		return cmp.Compare(t.failures[a], t.failures[b])
	})
	return cmp.Or(most, "interrupted")
}

// clone returns a copy of one of the maps of t.
func (t *totals) clone(m *map[string]int64) map[string]int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(*m)
}

// A window measures the messages whose scheduled time is between from and to.
type window struct {
	from, to atomic.Int64 // nanoseconds since the run began; to is 0 until the window ends
	frames   atomic.Int64 // deliveries to all sockets
	messages atomic.Int64 // deliveries to the sender of the message
	ended    atomic.Int64 // time of the last delivery
	latency  histogram    // until the delivery to another socket
	echo     histogram    // until the delivery to the sender
	ack      histogram
}

func (w *window) contains(scheduled time.Duration) bool {
	from, to := w.from.Load(), w.to.Load()
	return from > 0 && int64(scheduled) >= from && (to == 0 || int64(scheduled) < to)
}

func (w *window) addDelivery(toSender bool, scheduled, now time.Duration) {
	if !w.contains(scheduled) {
		return
	}
	w.frames.Add(1)
	w.ended.Store(int64(now))
	if toSender {
		w.messages.Add(1)
		w.echo.record(now - scheduled)
	} else {
		w.latency.record(now - scheduled)
	}
}

func (w *window) addAck(scheduled, now time.Duration) {
	if w.contains(scheduled) {
		w.ack.record(now - scheduled)
	}
}
