package receipt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/room"
)

// A stub is a store and a layer.
type stub struct {
	mu        sync.Mutex
	last      int64 // message of every conversation
	fail      error
	onWrite   func() // called in each write
	cursors   map[room.UserID]room.Cursor
	writes    []string
	published []string
}

func (s *stub) AdvanceCursors(_ context.Context, receipts []room.Receipt) ([]room.Advance, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.onWrite != nil {
		s.onWrite()
	}
	if s.fail != nil {
		return nil, s.fail
	}
	advances := make([]room.Advance, len(receipts))
	for i, r := range receipts {
		s.writes = append(s.writes, fmt.Sprintf("%d: %d %d", r.User, r.Cursor.Delivered, r.Cursor.Read))
		before := s.cursors[r.User]
		if r.Cursor.Delivered <= s.last {
			s.cursors[r.User] = before.Advanced(r.Cursor)
		}
		advances[i] = room.Advance{Cursor: s.cursors[r.User], LastSeq: s.last, Grown: s.cursors[r.User] != before}
	}
	return advances, nil
}

func (s *stub) Publish(group string, body event.Body, _ func(error)) {
	r, _ := body.(event.Receipt)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.published = append(s.published, fmt.Sprintf("%s %d: %d %d", group, r.User, r.Cursor.Delivered, r.Cursor.Read))
}

// set changes what the store does.
func (s *stub) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// wantWrites compares the writes since the last call, once everything is idle.
func (s *stub) wantWrites(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.writes, want) {
		t.Fatalf("wrote %q, want %q", s.writes, want)
	}
	s.writes = nil
}

// inBubble runs receipts of a conversation with 100 messages. stop ends Run and waits for it.
func inBubble(t *testing.T, test func(t *testing.T, s *stub, r *Receipts, stop func())) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &stub{last: 100, cursors: map[room.UserID]room.Cursor{}}
		r := New(s, s, func(room.UserID) bool { return false }, slog.New(slog.NewTextHandler(t.Output(), nil)), prometheus.NewRegistry())
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { r.Run(ctx) })
		stop := func() { cancel(); running.Wait() }
		defer stop()
		test(t, s, r, stop)
	})
}

func of(user room.UserID) Target {
	return Target{Conversation: room.ID{1}, Room: room.Room{Customer: 1, Therapist: 2}, User: user}
}

func delivered(seq int64) room.Cursor { return room.Cursor{Delivered: seq} }
func read(seq int64) room.Cursor      { return room.Cursor{Read: seq} }

// answer returns a done function and what it was called with.
func answer() (done func(room.Cursor, error), got func() string) {
	var mu sync.Mutex
	text := ""
	return func(c room.Cursor, err error) {
			mu.Lock()
			defer mu.Unlock()
			text += fmt.Sprintf("%d %d %v;", c.Delivered, c.Read, err)
		}, func() string {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return text
		}
}

// kept returns how much is kept of receipts, once everything is idle.
func kept(r *Receipts) int {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.entries) + len(r.ready) + len(r.resting)
}

func sleep(d time.Duration) { time.Sleep(d) } //nolint:forbidigo // the bubble's time

func TestTheFirstReceiptIsWrittenAtOnceAndTheHighestAfterASecond(t *testing.T) {
	inBubble(t, func(t *testing.T, s *stub, r *Receipts, _ func()) {
		r.Mark(of(1), delivered(5), nil)
		s.wantWrites(t, "1: 5 0")
		for seq := int64(6); seq <= 20; seq++ {
			r.Mark(of(1), delivered(seq), nil)
			r.Mark(of(1), read(seq-1), nil)
		}
		r.Mark(of(1), read(7), nil) // late
		sleep(interval - batchInterval)
		s.wantWrites(t)
		sleep(2 * batchInterval)
		s.wantWrites(t, "1: 20 19")
		if want := []string{"chat_1_2 1: 5 0", "chat_1_2 1: 20 19"}; !slices.Equal(s.published, want) {
			t.Errorf("published %q", s.published)
		}
	})
}

func TestUsersDoNotWaitForEachOther(t *testing.T) {
	inBubble(t, func(t *testing.T, s *stub, r *Receipts, _ func()) {
		r.Mark(of(1), delivered(5), nil)
		s.wantWrites(t, "1: 5 0")
		r.Mark(of(2), read(5), nil)
		sleep(2 * batchInterval)
		s.wantWrites(t, "2: 5 5")
	})
}

func TestAReceiptThatChangesNothingIsNotPublished(t *testing.T) {
	inBubble(t, func(t *testing.T, s *stub, r *Receipts, _ func()) {
		s.cursors[1] = room.Cursor{Delivered: 50, Read: 40}
		done, got := answer()
		r.Mark(of(1), read(30), done)
		r.Mark(of(1), read(35), done)
		if text := got(); text != "50 40 <nil>;50 40 <nil>;" {
			t.Errorf("answered %s", text)
		}
		r.Mark(of(1), read(40), done) // known: no write
		if s.wantWrites(t, "1: 35 35"); len(s.published) > 0 {
			t.Errorf("published %q", s.published)
		}
	})
}

func TestAReceiptBeyondTheLastMessageHarmsNoOther(t *testing.T) {
	inBubble(t, func(t *testing.T, s *stub, r *Receipts, _ func()) {
		r.Mark(of(1), delivered(1), nil)
		s.wantWrites(t, "1: 1 0")
		good, gotGood := answer()
		bad, gotBad := answer()
		r.Mark(of(1), read(7), nil)
		r.Mark(of(1), read(8), good)
		r.Mark(of(1), read(101), bad)
		sleep(2 * interval)
		if text := gotGood(); text != "8 8 <nil>;" {
			t.Errorf("the good one: %s", text)
		}
		if text := gotBad(); text != "0 0 "+ErrBeyond.Error()+";" {
			t.Errorf("the bad one: %s", text)
		}
		s.wantWrites(t, "1: 101 101", "1: 8 8")
	})
}

func TestReceiptsWaitForAStoreThatFails(t *testing.T) {
	inBubble(t, func(t *testing.T, s *stub, r *Receipts, _ func()) {
		s.set(func() { s.fail = fmt.Errorf("refused: %w", room.ErrUnavailable) })
		done, got := answer()
		r.Mark(of(1), read(5), nil)
		r.Mark(of(1), read(9), done)
		if text := got(); text != "0 0 refused: "+room.ErrUnavailable.Error()+";" {
			t.Errorf("answered %s", text)
		}
		sleep(time.Minute)
		r.Mark(of(1), read(6), nil)
		s.set(func() { s.fail = nil })
		sleep(maxRetry)
		s.wantWrites(t, "1: 6 6") // nobody waits for the 9 any more
	})
}

func TestAReceiptThatTheStoreRejectsIsDropped(t *testing.T) {
	inBubble(t, func(t *testing.T, s *stub, r *Receipts, _ func()) {
		s.set(func() { s.fail = errors.New("rejected") })
		r.Mark(of(1), read(5), nil)
		synctest.Wait()
		s.set(func() { s.fail = nil })
		sleep(time.Minute)
		s.wantWrites(t)
		if n := kept(r); n > 0 {
			t.Errorf("kept %d", n)
		}
	})
}

func TestAResetDropsWhatIsNotStored(t *testing.T) {
	inBubble(t, func(t *testing.T, s *stub, r *Receipts, _ func()) {
		r.Mark(of(1), delivered(1), nil)
		s.wantWrites(t, "1: 1 0")
		done, got := answer()
		r.Mark(of(1), read(5), nil)
		r.Mark(of(1), read(6), done)
		r.Reset()
		if text := got(); text != "0 0 "+ErrReset.Error()+";" {
			t.Errorf("answered %s", text)
		}
		sleep(2 * interval)
		s.wantWrites(t)
	})
}

func TestAResetDuringAWriteAnnouncesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, s *stub, r *Receipts, _ func()) {
		s.onWrite = r.Reset
		done, got := answer()
		r.Mark(of(1), read(5), done)
		if text := got(); text != "0 0 "+ErrReset.Error()+";" || len(s.published) > 0 {
			t.Errorf("answered %s, published %q", text, s.published)
		}
	})
}

func TestAStopWritesEverything(t *testing.T) {
	inBubble(t, func(t *testing.T, s *stub, r *Receipts, stop func()) {
		r.Mark(of(1), delivered(1), nil)
		s.wantWrites(t, "1: 1 0")
		r.Mark(of(1), read(9), nil) // rests
		r.Mark(of(2), read(3), nil)
		stop()
		slices.Sort(s.writes)
		s.wantWrites(t, "1: 9 9", "2: 3 3")
		done, got := answer()
		r.Mark(of(1), read(10), done)
		if text := got(); text != "0 0 "+errFull.Error()+";" {
			t.Errorf("afterwards: %s", text)
		}
	})
}

func TestNothingIsKeptOfIdleCursors(t *testing.T) {
	inBubble(t, func(t *testing.T, s *stub, r *Receipts, _ func()) {
		for user := room.UserID(1); user <= 2000; user++ {
			r.Mark(of(user), read(1), nil)
		}
		sleep(time.Minute)
		if n := kept(r); len(s.writes) != 2000 || n > 0 {
			t.Errorf("%d writes; kept %d", len(s.writes), n)
		}
	})
}
