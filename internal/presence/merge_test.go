package presence

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/room"
)

func TestARewrittenEntryKeepsTheOthersThatCount(t *testing.T) {
	t.Parallel()
	own, second, third, dead := event.ProcessID{1}, event.ProcessID{2}, event.ProcessID{3}, event.ProcessID{4}
	now := time.Unix(1000, 0)
	in := func(replica event.ProcessID, after time.Duration, inbox bool) event.ReplicaPresence {
		return event.ReplicaPresence{Replica: replica, Until: now.Add(after), Inbox: inbox}
	}
	r := &Registry{
		own: own, o: Options{Life: time.Minute, Renew: 20 * time.Second, Cycle: time.Second, Grace: time.Second},
		users: map[room.UserID]*user{7: {sockets: 1, known: make(chan struct{}), holding: holding{held: true}}},
	}
	stored := event.Online{Replicas: []event.ReplicaPresence{in(second, time.Second, true), in(dead, 0, false), in(own, time.Second, false), in(third, time.Second, false)}}
	entries := map[room.UserID]event.Online{7: stored}
	w := r.merge([]room.UserID{7}, entries, now)
	want := []event.ReplicaPresence{in(second, time.Second, true), in(third, time.Second, false), in(own, time.Minute, false)}
	if diff := cmp.Diff(want, w.entries[7].Replicas); diff != "" {
		t.Errorf("rewritten entry (-want +got):\n%s", diff)
	}
	r.finish([]room.UserID{7}, entries, &w, now, now)
	if s := r.users[7].state; !s.Online || !s.Inbox {
		t.Errorf("the state is %+v, want an inbox: that of the first of two others", s)
	}
}
