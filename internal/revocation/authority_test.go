package revocation_test

import (
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

// Whoever changes users by SQL tells nobody.
func TestASocketDoesNotOutliveTheFactsThatAdmittedIt(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t)
	customer, therapist := a.Chat(t, world.Customer), b.Chat(t, world.Therapist)
	read := a.ConnectAs(t, world.Support, "/ws/chat/1/2/", nil)
	follow := b.ConnectAs(t, world.Support, "/ws/location/1/2/", nil)
	own := b.ConnectAs(t, world.OtherCustomer, "/ws/chat/3/4/", nil)
	other := a.ConnectAs(t, world.OtherTherapist, "/ws/chat/3/4/", nil)
	for _, s := range []*world.Socket{read, follow, own, other} {
		s.Expect(t, "connected")
	}
	began := time.Now()
	w.Exec(t, "UPDATE roomspa.users SET role = 'customer' WHERE id = $1", world.Support)
	w.Exec(t, "UPDATE roomspa.users SET role = 'therapist' WHERE id = $1", world.OtherCustomer)
	read.ExpectRefusal(t, 4003, "not_your_room")
	follow.ExpectRefusal(t, 4003, "not_your_room")
	own.ExpectRefusal(t, 4003, "wrong_role")
	other.ExpectRefusal(t, 4003, "no_such_customer")
	if took := time.Since(began); took > 15*time.Second { // the periodic check comes later
		t.Errorf("it took %v", took)
	}
	customer.Say(t, "still here", "1")
	therapist.ExpectMessages(t, 0, 1)

	w.Exec(t, "DELETE FROM roomspa.users WHERE id = $1", world.Therapist)
	customer.Find(t, "chat_message")
	customer.ExpectRefusal(t, 4003, "no_such_therapist")
	therapist.ExpectRefusal(t, 4001, "user_unknown")
}

func TestAFreshTokenDoesNotProlongWhatHasEnded(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	unwatch(t, w)
	a := w.Ready(t, "a")
	read, peer := a.ConnectAs(t, world.Support, "/ws/chat/1/2/", nil), a.Chat(t, world.Customer)
	read.Expect(t, "connected")
	w.Exec(t, "UPDATE roomspa.users SET role = 'customer' WHERE id = $1", world.Support)
	peer.Send(t, `{"type": "auth", "token": "`+w.Token(t, world.Customer)+`"}`)
	read.Send(t, `{"type": "auth", "token": "`+w.Token(t, world.Support)+`"}`)
	read.ExpectRefusal(t, 4003, "not_your_room")
	peer.ExpectNothing(t)
}
