package auth

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// A Client is who asks for the verification of a password.
type Client struct {
	// Known is true if the client has signed in to the account from its address before.
	Known bool
	// Network is the network of the client. Clients of one network share their turns.
	Network string
}

// A queue gives turns to a bounded number of clients at a time, and places to a bounded
// number that wait. It is safe for concurrent use.
//
// Known clients and others each have half of the places, and every other turn while both
// wait. Within its class, the network that had the fewest turns lately is next, and the one
// that had the most loses its place to a newcomer. Among equals the first to come is next, but
// while the queue is full the last: those that came with the first wave of an attack do not keep
// out who comes later. So a network with many clients gets no more than one with a single
// client, and a client that comes from a new network during an attack is soon next.
type queue struct {
	places int

	mu      sync.Mutex
	turns   int
	running int
	waiting []*waiter // in the order of their arrival
	tally   *tally    // turns by client network
	// lastKnown is true if the last turn went to a known client.
	lastKnown bool
}

type waiter struct {
	Client

	done chan error // gets nil when the turn has come, or the reason why it will not
}

func newQueue(turns, places int) *queue {
	return &queue{turns: turns, places: places, tally: newTally()}
}

// acquire waits for a turn, which [queue.release] ends. The error wraps [ErrBusy]: there is no
// place, a client with fewer turns has taken it, or ctx has ended.
func (q *queue) acquire(ctx context.Context, c Client) error {
	busy := func() error { return fmt.Errorf("%w: %w", ErrBusy, context.Cause(ctx)) }
	if ctx.Err() != nil {
		return busy()
	}
	w := q.join(c)
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
	}
	if !q.leave(w) && <-w.done == nil { // its turn came at the same moment
		q.release()
	}
	return busy()
}

func (q *queue) join(c Client) *waiter {
	w := &waiter{c, make(chan error, 1)}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.running < q.turns {
		q.start(w)
		return w
	}
	q.waiting = append(q.waiting, w)
	if len(q.waiting) > q.places {
		i := q.last(q.waiting)
		out := q.waiting[i]
		q.waiting = slices.Delete(q.waiting, i, i+1)
		q.tally.refuse(out.Client)
		out.done <- fmt.Errorf("%w: %d are waiting", ErrBusy, len(q.waiting))
	}
	return w
}

// leave gives up the place of w. It returns false if w has none any more.
func (q *queue) leave(w *waiter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, w)
	if i < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	q.tally.refuse(w.Client)
	return true
}

// release ends a turn and gives it to the next client.
func (q *queue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running--
	q.fill()
}

// resize changes the number of turns. Clients that have one keep it.
func (q *queue) resize(turns int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.turns = turns
	q.fill()
}

// fill gives the free turns to the next clients.
func (q *queue) fill() {
	for q.running < q.turns {
		i := q.next()
		if i < 0 {
			return
		}
		w := q.waiting[i]
		q.waiting = slices.Delete(q.waiting, i, i+1)
		q.start(w)
	}
}

func (q *queue) start(w *waiter) {
	q.running++
	q.lastKnown = w.Known
	q.tally.add(w.Client, 1)
	w.done <- nil
}

// forgive does not count a turn of c, whose password was right.
func (q *queue) forgive(c Client) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tally.add(c, -1)
}

// refuses reports whether c would neither get a turn nor a place. Then c counts as refused.
func (q *queue) refuses(c Client) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.running < q.turns || len(q.waiting) < q.places {
		return false
	}
	all := append(slices.Clip(q.waiting), &waiter{Client: c})
	if q.last(all) < len(q.waiting) {
		return false
	}
	q.tally.refuse(c)
	return true
}

// next returns the index of the client whose turn is next, or -1 if none waits.
func (q *queue) next() int {
	best, ranks := -1, q.ranks(q.waiting)
	full := len(q.waiting) >= q.places
	for i, w := range q.waiting {
		switch {
		case best < 0:
			best = i
		case w.Known != q.waiting[best].Known:
			if w.Known != q.lastKnown {
				best = i
			}
		case ranks[i] < ranks[best] || full && ranks[i] == ranks[best]:
			best = i
		}
	}
	return best
}

// last returns the index of the client that loses its place if there is one client too many.
func (q *queue) last(all []*waiter) int {
	known := 0
	for _, w := range all {
		if w.Known {
			known++
		}
	}
	fromKnown := known > (q.places+1)/2
	last, ranks := -1, q.ranks(all)
	for i, w := range all {
		if w.Known == fromKnown && (last < 0 || ranks[i] > ranks[last]) {
			last = i
		}
	}
	return last
}

// ranks returns the rank of each client: the turns that its network had lately, and those that
// its network waits for with an earlier arrival.
func (q *queue) ranks(all []*waiter) []float64 {
	q.tally.fade()
	ranks := make([]float64, len(all))
	earlier := map[Client]int{}
	for i, w := range all {
		ranks[i] = q.tally.count(w.Client) + float64(earlier[w.Client])
		earlier[w.Client]++
	}
	return ranks
}

// sizes returns the number of clients that have a turn, and of those that wait for one.
func (q *queue) sizes() (running, waiting int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.running, len(q.waiting)
}
