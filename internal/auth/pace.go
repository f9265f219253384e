package auth

import (
	"sync"
	"time"
)

const (
	paceWindow = time.Minute
	maxPace    = 2 * time.Second
)

// A pace is the time that every verification takes, counted from its turn: that of the slowest
// hash in use, on a replica as busy as it was in the last one to two minutes. Verifications that
// end earlier are answered when it is over, so their time does not tell what hash is stored. It
// is at most maxPace. A pace is safe for concurrent use.
type pace struct {
	standard int // cost of the verification of a new hash

	mu             sync.Mutex
	slowest        int           // highest cost so far
	recent, before time.Duration // longest time of a standard verification, in this window and the one before
	began          time.Time     // of the window
}

// add records a verification of a cost, which took a time, and returns the time that is left
// until its answer.
func (p *pace) add(now time.Time, cost int, took time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.began) >= paceWindow {
		p.began, p.before, p.recent = now, p.recent, 0
	}
	cost = max(cost, p.standard)
	p.slowest = max(p.slowest, cost)
	p.recent = max(p.recent, scale(took, p.standard, cost))
	total := scale(max(p.recent, p.before), p.slowest, p.standard)
	return max(0, min(total, maxPace)-took)
}

func scale(d time.Duration, by, of int) time.Duration {
	return time.Duration(float64(d) * float64(by) / float64(of))
}
