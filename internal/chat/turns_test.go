package chat

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/roomspa/roomspa/internal/room"
)

// A plan lets the reads of a test run until they are released, and notes their order.
type plan struct {
	turns   turns
	release chan struct{}
	started chan room.UserID
}

func (p *plan) add(user room.UserID, n, size int) {
	for range n {
		p.turns.add(user, reading{size, func() {
			p.started <- user
			<-p.release
		}})
	}
}

// next returns the users whose reads have started, after n reads have ended.
func (p *plan) next(n int) (users []room.UserID) {
	for range n {
		p.release <- struct{}{}
	}
	synctest.Wait()
	for len(p.started) > 0 {
		users = append(users, <-p.started)
	}
	slices.Sort(users)
	return users
}

func TestUsersTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &plan{release: make(chan struct{}), started: make(chan room.UserID, 1000)}
		p.add(1, 60, maxReading/8)
		want := func(ended int, users ...room.UserID) {
			t.Helper()
			if got := p.next(ended); !slices.Equal(got, users) {
				t.Fatalf("started %v, want %v", got, users)
			}
		}
		want(0, 1, 1, 1, 1) // no more of one user
		p.add(2, 60, maxReading/8)
		want(0, 2, 2, 2, 2) // now all bytes are in use
		p.add(3, 1, 1000)
		want(0)
		want(1, 3) // whoever comes new is next
		for range 111 {
			if got := p.next(1); len(got) > 1 {
				t.Fatalf("started %v", got)
			}
		}
		p.next(9)
		if len(p.turns.users) != 0 || p.turns.bytes != 0 || len(p.turns.next) != 0 {
			t.Errorf("%d users, %d bytes are left", len(p.turns.users), p.turns.bytes)
		}
		p.add(4, 1, 2*maxReading) // alone it may be larger
		want(0, 4)
		p.next(1)
	})
}
