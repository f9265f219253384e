package block

import (
	"context"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
)

const (
	// overlap is how far a look at the changes goes back beyond the previous one. It is longer
	// than a statement takes that sets a block.
	overlap = 30 * time.Second
	// maxRooms is the number of rooms in one query.
	maxRooms = 1000
	// minRetry and maxRetry bound the backoff after a failed query.
	minRetry, maxRetry = 100 * time.Millisecond, 5 * time.Second
)

// watched returns the pairs of blocks whose room is watched. A block does not say which of the
// two users is the customer.
func (r *Registry) watched(blocks ...room.Block) (pairs []*Pair) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range blocks {
		for _, in := range []room.Room{{Customer: b.Blocker, Therapist: b.Blocked}, {Customer: b.Blocked, Therapist: b.Blocker}} {
			if p := r.pairs[in]; p != nil {
				pairs = append(pairs, p)
			}
		}
	}
	return pairs
}

// outdate requests that blocks are read again, if their rooms are watched.
func (r *Registry) outdate(blocks ...room.Block) {
	pairs := r.watched(blocks...)
	r.mu.Lock()
	for _, p := range pairs {
		if p.watchers > 0 {
			r.outdated[p] = struct{}{}
		}
	}
	pending := len(r.outdated) > 0
	r.mu.Unlock()
	if pending {
		r.signal()
	}
}

// outdateAll requests that all blocks are read again: events may have been lost, or the database
// was restored.
func (r *Registry) outdateAll() {
	r.mu.Lock()
	r.all = true
	r.mu.Unlock()
	r.signal()
}

func (r *Registry) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run reads what is outdated, and looks for changes, until ctx ends.
func (r *Registry) Run(ctx context.Context) {
	next := time.NewTimer(r.jittered())
	defer next.Stop()
	looked := time.Now()
	for failures := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case <-next.C:
		}
		err := r.refresh(ctx)
		if now := time.Now(); err == nil && now.Sub(looked) >= r.interval/2 {
			if err = r.look(ctx, now.Sub(looked)+overlap); err == nil {
				looked = now
				err = r.refresh(ctx)
			}
		}
		r.count(ctx, err)
		if err == nil {
			failures = 0
			next.Reset(r.jittered())
			continue
		}
		failures = min(failures+1, 10)
		next.Reset(min(minRetry<<failures, maxRetry))
	}
}

func (r *Registry) jittered() time.Duration { return r.interval/2 + rand.N(r.interval/2) }

func (r *Registry) count(ctx context.Context, err error) {
	switch {
	case err == nil:
		r.metrics.checks.WithLabelValues("done").Inc()
	case ctx.Err() == nil:
		r.metrics.checks.WithLabelValues("failed").Inc()
		logging.Component(r.log, slog.LevelWarn, component, "Check of blocks failed, retrying: "+err.Error(), slog.String("cause", cause.Of(err)))
	}
}

// look outdates the blocks that have changed within the window.
func (r *Registry) look(ctx context.Context, window time.Duration) error {
	changed, err := r.store.ChangedBlocks(ctx, window)
	if err == nil {
		r.outdate(changed...)
	}
	return err //nolint:wrapcheck // the store has named the operation
}

// refresh loads what is outdated. What it could not load stays outdated.
func (r *Registry) refresh(ctx context.Context) error {
	pairs := r.takeOutdated()
	for len(pairs) > 0 {
		n := min(len(pairs), maxRooms)
		if err := r.load(ctx, pairs[:n]); err != nil {
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, p := range pairs {
				if p.watchers > 0 {
					r.outdated[p] = struct{}{}
				}
			}
			return err
		}
		pairs = pairs[n:]
	}
	return nil
}

func (r *Registry) takeOutdated() (pairs []*Pair) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all {
		pairs = slices.Collect(maps.Values(r.pairs))
	} else {
		pairs = slices.Collect(maps.Keys(r.outdated))
	}
	r.all = false
	clear(r.outdated)
	return pairs
}

// load loads pairs. Of two loads at the same time the one counts that began last.
func (r *Registry) load(ctx context.Context, pairs []*Pair) error {
	if len(pairs) == 0 {
		return nil
	}
	rooms := make([]room.Room, len(pairs))
	for i, p := range pairs {
		rooms[i] = p.room
	}
	r.mu.Lock()
	r.loads++
	load := r.loads
	r.mu.Unlock()
	found, err := r.store.Blocks(ctx, rooms)
	if err != nil {
		return err //nolint:wrapcheck // the store has named the operation
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range pairs {
		p.set(found[p.room], load)
	}
	return nil
}
