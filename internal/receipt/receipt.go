// Package receipt records how far users have received and read their conversations. Clients send
// far more receipts than are worth storing, so it coalesces them: each user's cursor in a
// conversation is written at most once a second, and cursors are written in batches. What was
// written is then announced to the sockets of the room, on every replica.
package receipt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/room"
)

const (
	component = "Receipts"

	// interval is the minimum time between two writes of one cursor.
	interval = time.Second
	// batchInterval is the minimum time between two batches, unless the first one was full. A batch
	// costs more than the receipts in it: with 50 ms, those of 100 users who write took a tenth of
	// the processor's time at 3,000 messages a second.
	batchInterval = 250 * time.Millisecond
	// maxBatch is the number of cursors in one batch.
	maxBatch = 500
	// maxWaiting bounds the cursors that wait while the store is unavailable, some 20 MiB.
	maxWaiting = 100_000
	// minRetry and maxRetry bound the backoff between failed batches.
	minRetry, maxRetry = 100 * time.Millisecond, 5 * time.Second
	// flushTimeout limits the last batches when Run ends.
	flushTimeout = 3 * time.Second
	// group is the name of the endpoint whose sockets are told.
	group = "chat"
)

// Errors of receipts that are not stored. Others wrap [room.ErrUnavailable].
var (
	// ErrBeyond means that the conversation has no message with that number.
	ErrBeyond = errors.New("the conversation has no message with that number")
	// ErrReset means that the database was restored or replaced before the receipt was stored.
	ErrReset = fmt.Errorf("the database was restored or replaced: %w", room.ErrUnavailable)
)

// Store is what Receipts needs from Postgres.
type Store interface {
	// AdvanceCursors raises the cursors of users, and returns what became of each receipt, in the
	// same order. It never lowers a cursor, and leaves one alone whose receipt is beyond the last
	// message of the conversation. No two receipts are of the same user and conversation.
	AdvanceCursors(ctx context.Context, receipts []room.Receipt) ([]room.Advance, error)
}

// Layer is what Receipts needs from the channel layer.
type Layer interface {
	// Publish does not block. done may be nil.
	Publish(group string, body event.Body, done func(error))
}

// A Target is a user in a conversation: whose cursor a receipt moves.
type Target struct {
	Conversation room.ID
	Room         room.Room
	User         room.UserID // one side of the room
}

// Receipts are the receipts of one replica. Make them with [New], and run [Receipts.Run]. All
// methods are safe for concurrent use.
type Receipts struct {
	store   Store
	layer   Layer
	log     *slog.Logger
	metrics *metrics
	// hasInbox reports whether a user may have an inbox open, which is told too.
	hasInbox func(room.UserID) bool
	wake     chan struct{} // holds a value if there is something to write

	mu      sync.Mutex
	entries map[Target]*entry
	ready   []*entry // to be written now
	resting []*entry // written less than interval ago, the first one of them first
	resets  int
	stopped bool
}

// An entry is the cursor of one target that is to be written, is being written, or was written
// less than interval ago.
type entry struct {
	target  Target
	mark    room.Cursor // to be written, by marks that nobody waits for; zero if there is none
	waiters []waiter    // the other marks to be written
	stored  room.Cursor // what the last write returned
	rested  time.Time   // end of the rest
}

// pending reports whether there is something to be written.
func (e *entry) pending() bool { return e.mark != room.Cursor{} || len(e.waiters) > 0 }

// A waiter wants to know what became of its mark.
type waiter struct {
	mark room.Cursor
	done func(room.Cursor, error)
}

// New returns the receipts of a replica.
func New(store Store, layer Layer, hasInbox func(room.UserID) bool, log *slog.Logger, reg prometheus.Registerer) *Receipts {
	r := &Receipts{store: store, layer: layer, hasInbox: hasInbox, log: log, wake: make(chan struct{}, 1), entries: map[Target]*entry{}}
	r.metrics = newMetrics(reg, r.waiting)
	return r
}

// Mark raises the cursor of a target to c, soon. It does not block. The caller has checked that
// the user is a side of the room.
//
// done may be nil and must not block. It is called once: with the stored cursor, which may be
// higher than c, or with an error: [ErrBeyond] if c is above the last message, [ErrReset], or
// one that wraps [room.ErrUnavailable]. While the store is unavailable, receipts without done
// wait for it, and the others fail.
func (r *Receipts) Mark(t Target, c room.Cursor, done func(room.Cursor, error)) {
	c = c.Advanced(room.Cursor{}) // read implies delivered
	now, err := r.add(t, c, done)
	if done != nil && (now != nil || err != nil) {
		if now == nil {
			now = &room.Cursor{}
		}
		done(*now, err)
	}
}

// add adds a mark to the entry of its target. It returns the stored cursor if there is nothing
// to write.
func (r *Receipts) add(t Target, c room.Cursor, done func(room.Cursor, error)) (stored *room.Cursor, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[t]
	switch {
	case r.stopped || e == nil && len(r.entries) >= maxWaiting:
		r.metrics.failed.Inc()
		return nil, errFull
	case e == nil:
		e = &entry{target: t}
		r.entries[t] = e
		r.queue(e)
	case e.stored.Advanced(c) == e.stored:
		r.metrics.unchanged.Inc()
		at := e.stored
		return &at, nil
	case e.pending():
		r.metrics.coalesced.Inc()
	}
	if done != nil {
		e.waiters = append(e.waiters, waiter{c, done})
	} else {
		e.mark = e.mark.Advanced(c)
	}
	return nil, nil //nolint:nilnil // the mark waits
}

// Reset drops all receipts that are not stored: the database was restored or replaced, so their
// numbers may be those of other messages now. Whoever holds sockets calls it when the channel
// layer reports a reset.
func (r *Receipts) Reset() {
	r.mu.Lock()
	dropped := r.entries
	r.entries, r.ready, r.resting = map[Target]*entry{}, nil, nil
	r.resets++
	r.mu.Unlock()
	for _, e := range dropped {
		r.drop(e, ErrReset)
	}
}

// queue makes the entry ready. Mu is held.
func (r *Receipts) queue(e *entry) {
	r.ready = append(r.ready, e)
	r.signal()
}

func (r *Receipts) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// waiting returns the number of cursors that wait to be written.
func (r *Receipts) waiting() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return float64(len(r.ready))
}
