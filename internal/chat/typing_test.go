package chat_test

import (
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

const (
	types       = `{"type":"typing","is_typing":true}`
	typesNoMore = `{"type":"typing","is_typing":false}`
	typed       = `{"type":"typing","user_id":1,"is_typing":true,"expires_in_ms":6000}`
	typedNoMore = `{"type":"typing","user_id":1,"is_typing":false}`
)

func expectRaw(t *testing.T, s *world.Socket, frames ...string) {
	t.Helper()
	for _, want := range frames {
		if got := s.Next(t).Raw; got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
}

func TestTypingGoesToTheOtherSideOnly(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t)
	customer, tablet := a.Chat(t, world.Customer), b.Chat(t, world.Customer)
	here, there, support := a.Chat(t, world.Therapist), b.Chat(t, world.Therapist), b.Chat(t, world.Support)
	other := b.ConnectAs(t, world.OtherCustomer, "/ws/chat/3/4/", nil)
	other.Expect(t, "connected")
	for range 3 { // one every 2 s
		customer.Send(t, types)
	}
	expectRaw(t, here, typed)
	expectRaw(t, there, typed)
	for range 2 {
		customer.Send(t, typesNoMore)
	}
	expectRaw(t, here, typedNoMore)
	expectRaw(t, there, typedNoMore)
	customer.Say(t, "hello", "1")
	for _, s := range []*world.Socket{tablet, here, there, support} {
		s.ExpectMessages(t, 0, 1) // and nothing before
		s.ExpectNothing(t)
	}
	customer.Find(t, "ack")
	other.ExpectNothing(t)
	if n := a.Metric(t, `roomspa_drops_total{class="typing"}`); n != 2 {
		t.Errorf("%v dropped", n)
	}
	support.Send(t, types)
	support.ExpectError(t, "wrong_role", "")
	place := a.Location(t, world.Customer)
	place.Send(t, types)
	if f := place.Next(t); f.Type != "error" {
		t.Errorf("location answered %s", f.Raw)
	}
}

func TestAMessageEndsTheTyping(t *testing.T) {
	t.Parallel()
	a, b := world.New(t).Pair(t)
	customer, therapist := a.Chat(t, world.Customer), b.Chat(t, world.Therapist)
	customer.Send(t, types)
	expectRaw(t, therapist, typed)
	therapist.Say(t, "go on", "1")
	customer.Find(t, "chat_message")
	therapist.ExpectMessages(t, 0, 1)
	customer.Say(t, "done", "2")
	therapist.ExpectMessages(t, 1, 1)
	if f := therapist.Find(t, "typing"); f.Raw != typedNoMore { // a receipt may come before it
		t.Errorf("got %s, want %s", f.Raw, typedNoMore)
	}
	_ = customer.Conn.CloseNow() // nothing is left to end
	world.Eventually(t, "the socket is gone", func() (bool, any) {
		n := a.Metric(t, `roomspa_connections{dialect="roomspa",endpoint="chat"}`)
		return n == 0, n
	})
	therapist.ExpectNothing(t)
}

func TestTheEndOfTheSocketEndsTheTyping(t *testing.T) {
	t.Parallel()
	a, b := world.New(t).Pair(t)
	customer, therapist := a.Chat(t, world.Customer), b.Chat(t, world.Therapist)
	customer.Send(t, types)
	expectRaw(t, therapist, typed)
	_ = customer.Conn.CloseNow()
	expectRaw(t, therapist, typedNoMore)
	if log := a.Log.About(customer.Ref()); strings.Contains(log, "typing") {
		t.Errorf("the log tells who types: %s", log)
	}
}
