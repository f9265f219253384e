package app_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

// TestABlockHoldsOnEveryReplica blocks over one replica, and sends over the other one.
func TestABlockHoldsOnEveryReplica(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t)
	customer, therapist := a.Chat(t, world.Customer), b.Chat(t, world.Therapist)
	here, there := a.Location(t, world.Customer), b.Location(t, world.Therapist)
	block := func(method string) {
		t.Helper()
		path := fmt.Sprintf("/api/users/%d/block/", world.Customer)
		if res, body := b.Request(t, method, path, w.Token(t, world.Therapist), ""); res.StatusCode != http.StatusNoContent {
			t.Fatalf("%s %s: %d %s", method, path, res.StatusCode, body)
		}
	}
	// answer returns how a message of the customer is answered.
	n := 0
	answer := func() world.Frame {
		t.Helper()
		n++
		id := fmt.Sprint("m-", n)
		customer.Say(t, "hello", id)
		for {
			if f := customer.Next(t); f.ClientMessageID == id && (f.Type == "ack" || f.Type == "error") {
				return f
			}
		}
	}
	before := answer()
	block(http.MethodPost)
	world.Eventually(t, "the block holds", func() (bool, any) { f := answer(); return f.Type == "error" && f.Code == "blocked", f })
	customer.Say(t, "hello", "m-1") // the answer of which may have been lost
	world.Eventually(t, "a message of before the block is a duplicate", func() (bool, any) {
		f := customer.Next(t)
		return f.Type == "ack" && f.ClientMessageID == "m-1" && f.Duplicate && f.Seq == before.Seq, f
	})
	therapist.Say(t, "still heard", "t-1")
	world.Eventually(t, "the other direction is open", func() (bool, any) {
		f := customer.Next(t)
		return f.Type == "chat_message" && f.Message == "still heard", f
	})
	for _, s := range []*world.Socket{customer, therapist} {
		s.Send(t, `{"type":"typing","is_typing":true}`)
		s.Send(t, `{"type":"probe","id":"p"}`)
	}
	for _, s := range []*world.Socket{customer, therapist} {
		for f := s.Next(t); f.Type != "probe"; f = s.Next(t) { // its own, from behind what the other side has sent
			if f.Type == "typing" {
				t.Errorf("typing is passed on: %s", f.Raw)
			}
		}
	}
	again := a.ConnectAs(t, world.Customer, "/ws/chat/1/2/", nil)
	if f := again.Expect(t, "connected"); f.Peer == nil || f.Peer.Online != nil || f.Peer.LastSeen != "" {
		t.Errorf("presence is told: %s", f.Raw)
	}
	for _, s := range []*world.Socket{here, there} {
		s.Send(t, `{"latitude":52.5,"longitude":13.4}`)
		s.Send(t, `{"type":"ping"}`)
		s.Expect(t, "pong") // and no position before it
	}
	if got := a.Metric(t, `roomspa_positions_total{outcome="blocked"}`) + b.Metric(t, `roomspa_positions_total{outcome="blocked"}`); got != 2 {
		t.Errorf("%v positions were dropped", got)
	}
	if refused := world.Query[int](t, w, `SELECT count(*) FROM roomspa.messages WHERE client_message_id = $1`, fmt.Sprint("m-", n)); refused != 0 {
		t.Error("a refused message is stored")
	}
	block(http.MethodDelete)
	world.Eventually(t, "the block is lifted", func() (bool, any) { f := answer(); return f.Type == "ack", f })
	here.Send(t, `{"latitude":1,"longitude":2}`)
	there.Find(t, "location_update")
}

// TestAClientThatResumesFromADeletedMessageGetsWhatIsLeft resumes with and without an id.
func TestAClientThatResumesFromADeletedMessageGetsWhatIsLeft(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a")
	s := r.Chat(t, world.Customer)
	for i := range 6 {
		s.Deliver(t, fmt.Sprint("text ", i), fmt.Sprint("m-", i))
	}
	second := world.Query[string](t, w, `SELECT id::text FROM roomspa.messages WHERE seq = 2`)
	w.Exec(t, `UPDATE roomspa.messages SET created_at = now() - interval '31 days' WHERE seq < 5`)
	if done, err := w.OpenPostgres(t).DeleteMessages(t.Context(), 30*24*3600e9, nil); err != nil || done.Deleted != 4 {
		t.Fatalf("%+v, %v", done, err)
	}
	for _, query := range []string{"since=0", "since=2", "since=2&id=" + second, "since=4"} {
		c := r.ConnectAs(t, world.Customer, "/ws/chat/1/2/?"+query, nil)
		c.Expect(t, "connected")
		c.ExpectMessages(t, 4, 2)
		want := `{"type":"resumed","from_seq":5,"to_seq":6,"first_seq":5,"last_seq":6}`
		if f := c.Expect(t, "resumed"); f.Raw != want {
			t.Errorf("%s: %s", query, f.Raw)
		}
	}
	if f := s.Deliver(t, "goes on", "m-6"); f.Seq != 7 {
		t.Errorf("the next number is %d", f.Seq)
	}
}
