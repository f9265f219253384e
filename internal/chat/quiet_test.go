package chat_test

import (
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

// A block holds in both directions for hints, also for a therapist who has only blocked.
func TestABlockSilencesTypingAndPresence(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t)
	w.Exec(t, "INSERT INTO roomspa.blocks (blocker_id, blocked_id, active, changed_at) VALUES ($1, $2, true, now())", world.Therapist, world.Customer)
	customer, peer := watch(t, a, world.Customer)
	if peer.ID != 2 || peer.Online != nil || peer.LastSeen != "" {
		t.Errorf("the peer is %+v", peer)
	}
	therapist, peer := watch(t, b, world.Therapist)
	if peer.ID != 1 || peer.Online != nil {
		t.Errorf("the peer is %+v", peer)
	}
	customer.Send(t, types)
	therapist.Send(t, types)
	therapist.Say(t, "good bye", "1") // through Redis, after the typing
	customer.Find(t, "chat_message")
	customer.ExpectNothing(t)
	w.Exec(t, "UPDATE roomspa.blocks SET active = false, changed_at = now()")
	world.Eventually(t, "the customer may type again", func() (bool, any) {
		customer.Send(t, types)
		for _, f := range therapist.Drain() {
			if f.Raw == typed {
				return true, f
			}
		}
		return false, nil
	})
	customer.Send(t, `{"type":"ping"}`)
	customer.Expect(t, "pong")
	if o := presenceOf(t, customer); !*o.Online { // held back until then
		t.Errorf("the therapist is %+v", o)
	}
}
