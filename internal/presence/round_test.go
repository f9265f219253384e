package presence

import (
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

func TestEachRoundReadsAllWatchedUsers(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	r := &Registry{
		o:     Options{Poll: 10 * time.Second, Tick: time.Second, Grace: time.Second, Cycle: time.Second},
		users: map[room.UserID]*user{}, queue: map[room.UserID]struct{}{},
	}
	const users = 2000
	for id := range room.UserID(users) {
		r.users[id] = &user{watchers: []*watcher{{}}}
	}
	r.users[users] = &user{} // nobody watches
	for round := range 3 {
		read := map[room.UserID]int{}
		for tick := range 10 {
			r.collect(now)
			for _, id := range r.take() {
				read[id]++
			}
			if tick == 0 && len(read) > users/2 {
				t.Errorf("round %d: %d users at once", round, len(read))
			}
			now = now.Add(r.o.Tick)
		}
		if len(read) != users || read[users] != 0 {
			t.Errorf("round %d: read %d of %d users", round, len(read), users)
		}
		for id, n := range read {
			if n != 1 {
				t.Errorf("round %d: user %d was read %d times", round, id, n)
			}
		}
	}
}
