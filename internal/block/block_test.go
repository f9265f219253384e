package block

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/room"
)

// A shelf is a store that a test steers.
type shelf struct {
	mu      sync.Mutex
	blocks  map[room.Room]room.Blocks
	changed []room.Block
	reads   int
	fail    error
	before  func() // called in each Blocks, after it has read
}

func (s *shelf) Blocks(_ context.Context, rooms []room.Room) (map[room.Room]room.Blocks, error) {
	s.mu.Lock()
	s.reads++
	found, err, before := map[room.Room]room.Blocks{}, s.fail, s.before
	for _, in := range rooms {
		found[in] = s.blocks[in]
	}
	s.mu.Unlock()
	if before != nil {
		before()
	}
	return found, err
}

func (s *shelf) ChangedBlocks(context.Context, time.Duration) ([]room.Block, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed, s.fail
}

func (s *shelf) SetBlock(_ context.Context, b room.Block, in room.Room, active bool) (bool, error) {
	s.set(in, room.Blocks{ByCustomer: b.Blocker == in.Customer && active, ByTherapist: b.Blocker == in.Therapist && active})
	return true, nil
}

func (s *shelf) set(in room.Room, b room.Blocks) { s.edit(func() { s.blocks[in] = b }) }

func (s *shelf) edit(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

var in = room.Room{Customer: 1, Therapist: 2}

// inBubble runs f with a registry that runs.
func inBubble(t *testing.T, f func(s *shelf, r *Registry)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{blocks: map[room.Room]room.Blocks{}}
		r := newRegistry(func(event.Body, func(error)) {}, s, 0, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		ctx, cancel := context.WithCancel(t.Context())
		go r.Run(ctx)
		f(s, r)
		cancel()
		synctest.Wait()
	})
}

func watch(t *testing.T, r *Registry) *Pair {
	t.Helper()
	p, err := r.Watch(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAPairIsLoadedOnceAndForgotten(t *testing.T) {
	inBubble(t, func(s *shelf, r *Registry) {
		s.set(in, room.Blocks{ByTherapist: true})
		p, q := watch(t, r), watch(t, r)
		if p != q || s.reads != 1 {
			t.Errorf("%d reads", s.reads)
		}
		if !p.Blocks(2) || p.Blocks(1) || p.Blocks(3) || !p.Any() || !p.Blocked(1) || p.Blocked(2) || p.Blocked(3) {
			t.Error("the block has another direction")
		}
		p.Release()
		if len(r.pairs) != 1 {
			t.Error("it is forgotten while it is watched")
		}
		q.Release()
		if len(r.pairs) != 0 {
			t.Error("it is not forgotten")
		}
		var none *Pair
		if none.Any() || none.Blocks(1) || none.Blocked(1) {
			t.Error("no pair blocks")
		}
		none.Release()
	})
}

func TestAChangeIsReadAgain(t *testing.T) {
	for name, announce := range map[string]func(*shelf, *Registry){
		"that is announced":       func(_ *shelf, r *Registry) { r.outdate(room.Block{Blocker: 1, Blocked: 2}) },
		"announced the other way": func(_ *shelf, r *Registry) { r.outdate(room.Block{Blocker: 2, Blocked: 1}) },
		"whose event may be lost": func(_ *shelf, r *Registry) { r.outdateAll() },
		"whose event was lost": func(s *shelf, _ *Registry) {
			s.edit(func() { s.changed = []room.Block{{Blocker: 1, Blocked: 2}} })
			time.Sleep(11 * time.Second) //nolint:forbidigo // the bubble's time
		},
		"that was made here": func(_ *shelf, r *Registry) {
			_, _ = r.Set(context.Background(), room.Block{Blocker: 1, Blocked: 2}, in, true)
		},
		"after Postgres was missing": func(s *shelf, r *Registry) {
			s.edit(func() { s.fail = errors.New("away") })
			r.outdateAll()
			synctest.Wait()
			s.edit(func() { s.fail = nil })
			time.Sleep(time.Second) //nolint:forbidigo // the bubble's time
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(s *shelf, r *Registry) {
				p := watch(t, r)
				s.set(in, room.Blocks{ByCustomer: true})
				announce(s, r)
				synctest.Wait()
				if !p.Blocks(1) {
					t.Error("the change was not found")
				}
				p.Release()
			})
		})
	}
}

// TestAReadThatBeganBeforeAChangeDoesNotUndoIt makes a change during the first read.
func TestAReadThatBeganBeforeAChangeDoesNotUndoIt(t *testing.T) {
	inBubble(t, func(s *shelf, r *Registry) {
		hold, began := make(chan struct{}), make(chan struct{}, 10)
		s.before = func() { began <- struct{}{}; <-hold }
		watched := make(chan *Pair)
		go func() { watched <- watch(t, r) }()
		<-began
		s.edit(func() { s.before = nil })
		s.set(in, room.Blocks{ByCustomer: true})
		r.outdate(room.Block{Blocker: 1, Blocked: 2})
		synctest.Wait() // it is read again
		close(hold)
		p := <-watched
		synctest.Wait()
		if !p.Blocks(1) {
			t.Error("an older read has undone the change")
		}
		p.Release()
	})
}

func TestAFailedWatchLeavesNothing(t *testing.T) {
	inBubble(t, func(s *shelf, r *Registry) {
		s.fail = errors.New("away")
		if _, err := r.Watch(t.Context(), in); !errors.Is(err, s.fail) || len(r.pairs) != 0 {
			t.Errorf("%v, %d pairs", err, len(r.pairs))
		}
	})
}
