package session

import (
	"slices"
	"sync"
)

// Writers are the goroutines that write for sessions. A stack that has grown is kept
// for the next session, where a fresh goroutine would have to grow its own; those who
// had nothing to do for a while go.
type writers struct {
	mu   sync.Mutex
	kept bool            // who has done their work waits for more
	idle []chan *Session // who worked last is the last one, and works next
	few  int             // the fewest that were idle since the last relief
}

// write lets somebody write for a session. It never blocks.
func (w *writers) write(s *Session) {
	w.mu.Lock()
	n := len(w.idle) - 1
	if n < 0 {
		w.mu.Unlock()
		go w.work(s)
		return
	}
	next := w.idle[n]
	w.idle = w.idle[:n]
	w.few = min(w.few, n)
	w.mu.Unlock()
	next <- s
}

func (w *writers) work(s *Session) {
	next := make(chan *Session, 1)
	for s != nil {
		s.write()
		if !w.rest(next) {
			return
		}
		s = <-next
	}
}

// rest makes somebody idle, who hears of a session, or of the end by a nil. It reports
// whether there is any waiting for that.
func (w *writers) rest(next chan *Session) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.kept {
		w.idle = append(w.idle, next)
	}
	return w.kept
}

// keep lets those who have nothing to do wait, until [writers.dismiss].
func (w *writers) keep() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept = true
}

// relieve sends those away who were not needed since it was last called.
func (w *writers) relieve() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.send(min(w.few, len(w.idle)))
}

// dismiss sends away who has nothing to do, from now on everybody at once.
func (w *writers) dismiss() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept = false
	w.send(len(w.idle))
}

// send sends n away, those who have been idle for the longest time.
func (w *writers) send(n int) {
	for _, next := range w.idle[:n] {
		close(next)
	}
	w.idle = slices.Delete(w.idle, 0, n)
	w.few = len(w.idle)
}
