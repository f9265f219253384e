package session

import (
	"runtime"
	"sync"
)

// writerShare is the number of sessions that a goroutine takes at once, and for which one more
// goroutine is worth while.
const writerShare = 16

// writers runs the writers of many sessions in a few goroutines, which exist only while sessions
// have something to write. So a message for a room of a thousand sockets needs no thousand
// goroutines. A writer that has to wait goes on in a goroutine of its own.
type writers struct {
	limit int // of goroutines

	mu      sync.Mutex
	waiting []*Session // whose writer has not run yet; from first on
	first   int
	running int // goroutines
	holding int // calls of [Registry.Hold] without a Flush
}

func newWriters() *writers { return &writers{limit: runtime.GOMAXPROCS(0)} }

// add runs the writer of s soon. It does not block.
func (w *writers) add(s *Session) {
	if s.tcp == nil {
		go s.writeAlone(newBatch(), true, false)
		return
	}
	w.mu.Lock()
	w.waiting = append(w.waiting, s)
	start := w.mayStart()
	w.mu.Unlock()
	if start {
		go w.run()
	}
}

// mayStart reports whether one more goroutine is to run, and counts it. The caller holds the lock.
func (w *writers) mayStart() bool {
	waiting := len(w.waiting) - w.first
	start := waiting > (w.running+w.holding)*writerShare && w.running < w.limit
	if start {
		w.running++
	}
	return start
}

// Hold says that the caller is about to wake several sessions and calls [Registry.Flush] soon.
func (r *Registry) Hold() {
	r.writers.mu.Lock()
	r.writers.holding++
	r.writers.mu.Unlock()
}

// Flush ends a Hold. It writes to some of the sessions that were woken, and leaves the others to
// other goroutines. It does not wait for any client.
func (r *Registry) Flush() {
	w := r.writers
	w.mu.Lock()
	w.holding--
	waiting := len(w.waiting) > 0
	if waiting {
		w.running++
	}
	w.mu.Unlock()
	if !waiting {
		return
	}
	b, n := w.writeShare(newBatch())
	freeBatch(b)
	if n == 0 {
		return
	}
	w.mu.Lock()
	w.running--
	start := w.mayStart()
	w.mu.Unlock()
	if start {
		go w.run()
	}
}

// run runs writers until none waits.
func (w *writers) run() {
	b, n := newBatch(), 1
	for n > 0 {
		b, n = w.writeShare(b)
	}
	freeBatch(b)
}

// writeShare runs the writers of up to writerShare sessions, and returns their number. It uses b,
// and returns a batch to use next.
func (w *writers) writeShare(b *batch) (next *batch, n int) {
	var share [writerShare]*Session
	n = w.take(share[:])
	for _, s := range share[:n] {
		if !s.writeNow(b) {
			b = newBatch()
		}
	}
	return b, n
}

// take moves sessions to share. If there is none, the caller no longer counts as running.
func (w *writers) take(share []*Session) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := copy(share, w.waiting[w.first:])
	if n == 0 {
		w.running--
		return 0
	}
	clear(w.waiting[w.first : w.first+n])
	if w.first += n; w.first == len(w.waiting) {
		w.waiting, w.first = w.waiting[:0], 0
		if cap(w.waiting) > 4096 {
			w.waiting = nil
		}
	}
	return n
}
