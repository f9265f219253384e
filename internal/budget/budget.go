// Package budget bounds the memory that all peers of a replica can fill together: unfinished
// messages, outgoing queues, pages, HTTP bodies and answers.
//
// A peer may hold at most as many bytes as are still free. So one peer alone can hold half
// of the budget, thousands of them hold little each, and a newcomer always finds room. It is
// the rule by which switches share a buffer between ports (dynamic thresholds, Choudhury and
// Hahne 1998). It takes one atomic operation, and neither a list nor a lock.
package budget

import (
	"math"
	"sync/atomic"
)

// A Budget is the number of bytes that the peers of a replica may hold together. A nil Budget
// has no limit. Its methods may be called concurrently.
type Budget struct {
	total atomic.Int64
	free  atomic.Int64
}

// New returns a budget of total bytes.
func New(total int64) *Budget {
	b := &Budget{}
	b.Resize(total)
	return b
}

// Resize changes the size of the budget. What is held stays held: while that is more than the
// new size, no peer can take anything. Calls must not overlap.
func (b *Budget) Resize(total int64) {
	b.free.Add(total - b.total.Swap(total))
}

// Total returns the size of the budget in bytes, and 0 for a nil Budget.
func (b *Budget) Total() int64 {
	if b == nil {
		return 0
	}
	return b.total.Load()
}

// Held returns the number of bytes that are held.
func (b *Budget) Held() int64 {
	if b == nil {
		return 0
	}
	return b.total.Load() - b.free.Load()
}

// An Account is what one peer holds. The zero Account has no limit. Its methods may be called
// concurrently.
type Account struct {
	budget    *Budget
	anonymous atomic.Bool
	held      atomic.Int64
}

// Open makes the account draw on a budget. An anonymous peer may hold a quarter of what others
// may. Call it before the first Take.
func (a *Account) Open(b *Budget, anonymous bool) {
	a.budget = b
	a.anonymous.Store(anonymous)
}

// Authenticated makes the account that of a signed-in peer.
func (a *Account) Authenticated() { a.anonymous.Store(false) }

// Take takes n bytes. It returns false, and takes nothing, if the peer would hold more than
// its share. The caller then waits until it holds less, or refuses.
func (a *Account) Take(n int) bool {
	if a.budget == nil || n <= 0 {
		return true
	}
	held := a.held.Add(int64(n))
	if held < 0 { // closed
		return false
	}
	free := a.budget.free.Add(-int64(n))
	if a.anonymous.Load() {
		free /= 4
	}
	if held <= free {
		return true
	}
	a.Give(n)
	return false
}

// Held returns the number of bytes that the peer holds.
func (a *Account) Held() int64 { return max(0, a.held.Load()) }

// Give gives back n bytes that Take has taken.
func (a *Account) Give(n int) {
	if a.budget != nil && n > 0 && a.held.Add(-int64(n)) >= 0 {
		a.budget.free.Add(int64(n))
	}
}

// closed is what a closed account holds: so little that it stays negative.
const closed = math.MinInt64 / 2

// Close gives back all that is held. From then on Take returns false, and Give does nothing.
func (a *Account) Close() {
	if a.budget == nil {
		return
	}
	if held := a.held.Swap(closed); held > 0 {
		a.budget.free.Add(held)
	}
}
