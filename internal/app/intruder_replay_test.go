package app_test

import (
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// times returns n copies.
func times(n int, p published) []published { return slices.Repeat([]published{p}, n) }

// seal returns an event that a replica might have sealed at a time, for the intruder to have recorded then.
func (x *intruder) seal(name string, at time.Time, body event.Body) published {
	return published{name, string(x.events.Ring().Seal(nil, name, at, body))}
}

func TestIntruderReplaysMessages(t *testing.T) {
	t.Parallel()
	x := newIntruder(t)
	message := x.record(t)[event.KindMessage]
	x.say(t)
	x.expectNoEffect(t, func() { x.publish(t, times(100, message)...) })
	// Perhaps the database was restored, while no replica ran, to before this one.
	x.publish(t, x.seal(message.channel, time.Now().Add(-time.Hour), event.Message{Seq: x.seq + 1, Sender: world.Customer, Frame: []byte(`{"type":"gone"}`)}))
	x.say(t)
	late := x.a.ConnectAs(t, world.Customer, "/ws/chat/1/2/", url.Values{"since": {"0"}})
	late.Expect(t, "connected")
	x.publish(t, times(100, message)...)
	late.ExpectMessages(t, 0, int(x.seq))
	late.Expect(t, "resumed")
	x.publish(t, times(100, message)...)
	x.say(t)
	late.ExpectMessages(t, x.seq-1, 1)
	late.ExpectNothing(t)
}

func TestIntruderReplaysPositions(t *testing.T) {
	t.Parallel()
	x := newIntruder(t)
	position := x.record(t)[event.KindPosition]
	x.move(t)
	x.expectNoEffect(t, func() { x.publish(t, times(100, position)...) })
	old := x.seal(position.channel, time.Now().Add(-31*time.Second), event.Position{User: world.Therapist, Frame: []byte(`{"type":"location_update"}`)})
	x.expectNoEffect(t, func() { x.publishInVain(t, old) })
}

func TestIntruderReplaysRevocations(t *testing.T) {
	t.Parallel()
	x := newIntruder(t)
	channel := x.channel("control")
	some := x.record(t)[event.KindRevocation]
	all := x.seal(channel, time.Now().Add(-time.Hour), event.Revocation{})
	before, began, heard := x.sum(t, "roomspa_revocation_checks_total"), time.Now(), x.sum(t, "roomspa_revocation_notices_total")
	for range 10 {
		heard += float64(x.publish(t, append(times(100, some), times(100, all)...)...))
		x.say(t)
	}
	world.Eventually(t, "both have heard everything", func() (bool, any) {
		n := x.sum(t, "roomspa_revocation_notices_total")
		return n == heard, n
	})
	if n := x.sum(t, "roomspa_revocation_checks_total") - before; n < 1 || n > 2*(2*time.Since(began).Seconds()+2) {
		t.Errorf("%v checks in %v", n, time.Since(began))
	}
	if n := x.sum(t, "roomspa_revoked_sockets_total"); n != 0 {
		t.Errorf("%v sockets were closed", n)
	}
	x.move(t)
}

func TestIntruderReplaysAnEarlierTimeline(t *testing.T) {
	t.Parallel()
	x := newIntruder(t)
	recorded := x.record(t)
	ticket := x.a.Post(t, "/api/ticket/", nil, x.Token(t, world.Customer)).Expect(t, 200, "").Ticket
	x.a.ConnectAs(t, world.Customer, "/ws/chat/3/4/", nil).ExpectRefusal(t, 4003, "not_your_room") // a story
	world.Eventually(t, "the story is stored", func() (bool, any) {
		failures, err := x.events.Stories.Failures(t.Context(), int64(world.Customer))
		return len(failures) == 1, err
	})
	values, lists := x.stored(t)
	x.Exec(t, "UPDATE roomspa.deployment SET timeline = timeline + 1")
	for _, s := range append([]*world.Socket{x.others[0]}, x.chats...) {
		if f := s.Expect(t, "resumed"); !f.Reset {
			t.Errorf("got %s", f.Raw)
		}
	}
	x.expectNoEffect(t, func() {
		var all []published
		for kind, p := range recorded {
			if kind != event.KindEcho { // nobody hears that channel any more
				all = append(all, p)
			}
		}
		x.publishInVain(t, all...)
	})
	x.restore(t, values, lists)
	x.b.Connect(t, world.Handshake{Path: "/ws/chat/1/2/", Query: url.Values{"ticket": {ticket}}}).ExpectRefusal(t, 4001, "token_invalid")
	s := x.b.Location(t, world.Support)
	s.ExpectNothing(t)
	later := x.OpenRedis(t)
	if failures, err := later.Stories.Failures(t.Context(), int64(world.Customer)); err != nil || len(failures) != 0 {
		t.Errorf("%+v, %v", failures, err)
	}
}
