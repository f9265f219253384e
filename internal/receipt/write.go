package receipt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
)

// errFull refuses a receipt because too many wait, or because the replica stops.
var errFull = fmt.Errorf("store receipt: %w: too many receipts are waiting", room.ErrUnavailable)

// Run writes receipts until ctx ends, and then those that are left. Call it once.
func (r *Receipts) Run(ctx context.Context) {
	work, failures := context.WithoutCancel(ctx), 0 // no write is interrupted
	for ctx.Err() == nil {
		batch, resets, left := r.take(time.Now())
		if len(batch) == 0 {
			r.sleep(ctx, left, r.wake)
			continue
		}
		err := r.write(work, batch, resets)
		r.report(err, failures)
		if err == nil {
			failures = 0
			if len(batch) < maxBatch {
				r.sleep(ctx, batchInterval, nil)
			}
			continue
		}
		failures++
		d := min(minRetry<<min(failures-1, 10), maxRetry)
		r.sleep(ctx, d/2+rand.N(d/2), nil)
	}
	r.flush(work)
}

// sleep waits for d, or until woken. A d of 0 means for ever.
func (r *Receipts) sleep(ctx context.Context, d time.Duration, woken <-chan struct{}) {
	var over <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-ctx.Done():
	case <-woken:
	case <-over:
	}
}

// flush writes everything that waits, whether it has rested or not.
func (r *Receipts) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	for {
		batch, resets, _ := r.take(time.Now().Add(2 * interval))
		if len(batch) == 0 {
			break
		}
		if err := r.write(ctx, batch, resets); err != nil {
			r.report(err, 0)
			break
		}
	}
	r.mu.Lock()
	r.stopped = true
	left := r.entries
	r.entries, r.ready, r.resting = map[Target]*entry{}, nil, nil
	r.mu.Unlock()
	for _, e := range left {
		r.drop(e, errFull)
	}
}

// drop gives up what an entry waits for.
func (r *Receipts) drop(e *entry, err error) {
	if (e.mark != room.Cursor{}) {
		r.metrics.failed.Inc()
	}
	r.fail(e.waiters, err)
}

// An item is an entry that is being written, and what was to be written.
type item struct {
	*entry

	mark    room.Cursor
	waiters []waiter
}

// total returns the cursor to be written.
func (it *item) total() room.Cursor {
	c := it.mark
	for _, w := range it.waiters {
		c = c.Advanced(w.mark)
	}
	return c
}

// take ends the rest of those entries that have rested at the time now, and takes up to maxBatch
// entries that are ready. Without any, it returns the time until the first one has rested.
func (r *Receipts) take(now time.Time) (batch []item, resets int, left time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for n < len(r.resting) && !r.resting[n].rested.After(now) {
		e := r.resting[n]
		if n++; e.pending() {
			r.ready = append(r.ready, e)
		} else {
			delete(r.entries, e.target)
		}
	}
	clear(r.resting[:n])
	if r.resting = r.resting[n:]; len(r.resting) == 0 {
		r.resting = nil
	} else {
		left = r.resting[0].rested.Sub(now)
	}
	n = min(maxBatch, len(r.ready))
	for _, e := range r.ready[:n] {
		batch = append(batch, item{e, e.mark, e.waiters})
		e.mark, e.waiters = room.Cursor{}, nil
	}
	clear(r.ready[:n])
	if r.ready = r.ready[n:]; len(r.ready) == 0 {
		r.ready = nil
	}
	return batch, r.resets, left
}

// write writes a batch that was taken after so many resets, announces the cursors that have
// grown, and tells those who wait.
func (r *Receipts) write(ctx context.Context, batch []item, resets int) error {
	receipts := make([]room.Receipt, len(batch))
	for i := range batch {
		receipts[i] = room.Receipt{Conversation: batch[i].target.Conversation, User: batch[i].target.User, Cursor: batch[i].total()}
	}
	advances, err := r.store.AdvanceCursors(ctx, receipts)
	calls := make([]func(), len(batch))
	r.mu.Lock()
	for i := range batch {
		switch it := &batch[i]; {
		case resets != r.resets:
			calls[i] = func() { r.fail(it.waiters, ErrReset) }
		case err != nil:
			calls[i] = r.keep(it, err)
		case receipts[i].Cursor.Delivered > advances[i].LastSeq:
			calls[i] = r.split(it, advances[i])
		default:
			calls[i] = r.finish(it, advances[i])
		}
	}
	r.mu.Unlock()
	for _, call := range calls {
		call()
	}
	return err
}

// keep makes an item wait again whose batch has failed, but not those who wait for it: they may
// try again. It returns what is to be called without Mu. Mu is held.
func (r *Receipts) keep(it *item, err error) (call func()) {
	if errors.Is(err, room.ErrUnavailable) {
		it.entry.mark = it.entry.mark.Advanced(it.mark)
	} else { // it would fail again
		r.metrics.failed.Inc()
	}
	r.release(it.entry)
	return func() { r.fail(it.waiters, err) }
}

// finish ends the write of an item. It returns what is to be called without Mu. Mu is held.
func (r *Receipts) finish(it *item, a room.Advance) (call func()) {
	it.stored = a.Cursor
	r.rest(it.entry)
	if !a.Grown {
		r.metrics.unchanged.Inc()
	}
	return func() {
		if a.Grown {
			r.metrics.written.Inc()
			r.publish(it.target, a.Cursor)
		}
		for _, w := range it.waiters {
			w.done(a.Cursor, nil)
		}
	}
}

// split separates the marks of an item that is beyond the last message: those that are beyond it
// are refused, and the others are written at once. It returns what is to be called without Mu.
// Mu is held.
func (r *Receipts) split(it *item, a room.Advance) (call func()) {
	r.metrics.refused.Inc()
	if it.mark.Delivered <= a.LastSeq {
		it.entry.mark = it.entry.mark.Advanced(it.mark)
	}
	var beyond []waiter
	for _, w := range it.waiters {
		if w.mark.Delivered > a.LastSeq {
			beyond = append(beyond, w)
		} else {
			it.entry.waiters = append(it.entry.waiters, w)
		}
	}
	r.release(it.entry)
	return func() {
		for _, w := range beyond {
			w.done(room.Cursor{}, ErrBeyond)
		}
	}
}

// release ends the write of an entry that did not succeed. Mu is held.
func (r *Receipts) release(e *entry) {
	if e.pending() {
		r.queue(e)
	} else {
		r.rest(e)
	}
}

// rest lets an entry rest after a write. Mu is held.
func (r *Receipts) rest(e *entry) {
	e.rested = time.Now().Add(interval)
	r.resting = append(r.resting, e)
}

func (r *Receipts) fail(waiters []waiter, err error) {
	for _, w := range waiters {
		r.metrics.failed.Inc()
		w.done(room.Cursor{}, err)
	}
}

func (r *Receipts) publish(t Target, c room.Cursor) {
	body := event.Receipt{Conversation: t.Conversation, User: t.User, Cursor: c}
	r.layer.Publish(t.Room.Group(group), body, nil)
	if r.hasInbox(t.User) {
		r.layer.Publish(room.InboxGroup(t.User), body, nil)
	}
}

// report logs that writing has begun to fail, or works again after so many failures.
func (r *Receipts) report(err error, failures int) {
	switch {
	case err != nil && failures == 0:
		logging.Component(r.log, slog.LevelWarn, component, "Receipts not written: "+err.Error()+"; retrying", slog.String("cause", cause.Of(err)))
	case err == nil && failures > 0:
		logging.Component(r.log, slog.LevelInfo, component, "Receipts are written again")
	}
}
