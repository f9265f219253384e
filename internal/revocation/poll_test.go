package revocation

import (
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

func TestUsersWhoAreChangedBySQLAreCheckedWithinASecond(t *testing.T) {
	inBubble(t, func(t *testing.T, d *desk, r *Revoker) {
		r.Check(2)
		sleep(10 * time.Millisecond) // the next query must wait
		d.set(func() {
			d.users[1].Active = false
			d.changed = []room.UserID{1, 99}
		})
		sleep(time.Second)
		d.wants(t, map[int64]string{1: "user_inactive"})
		d.takeQueries()
		d.set(func() { d.changed = []room.UserID{3} })
		sleep(4 * time.Second)
		d.queries(t, 1) // the same changes again, while a transaction is under way
	})
}

func TestChangesAreForgottenWhenEveryReplicaHasSeenThem(t *testing.T) {
	inBubble(t, func(t *testing.T, d *desk, _ *Revoker) {
		sleep(keepChanges)
		d.mu.Lock()
		if len(d.forgotten) != 0 || d.since[0] != "" || d.since[1] != "next" {
			t.Errorf("forgotten %v, marks %v", d.forgotten, d.since)
		}
		d.mu.Unlock()
		sleep(time.Second)
		d.set(func() {
			if len(d.forgotten) != 1 || d.forgotten[0] != "next" {
				t.Errorf("forgotten %v", d.forgotten)
			}
		})
	})
}

func TestTheOtherUsersOfARoomAreCheckedToo(t *testing.T) {
	inBubble(t, func(t *testing.T, d *desk, r *Revoker) {
		d.set(func() {
			d.paths = map[int64][]int64{1: {1, 2}, 3: {3, 4}}
			d.users[4] = &room.User{ID: 4}
		})
		r.Check(4)
		sleep(time.Second)
		d.wants(t, map[int64]string{})
		d.queries(t, 2)
		d.set(func() { delete(d.users, 4) })
		r.Check(4)
		sleep(time.Second)
		d.wants(t, map[int64]string{3: "no_such_therapist"})
	})
}

// What a handshake has loaded may be older than the check.
func TestASocketInItsHandshakeIsCheckedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, d *desk, r *Revoker) {
		d.set(func() { d.role = "" })
		r.Check(1)
		sleep(checkInterval)
		d.queries(t, 1, 1)
		d.set(func() { d.role = "customer" })
		sleep(10 * checkInterval)
		d.queries(t, 1)
	})
}
