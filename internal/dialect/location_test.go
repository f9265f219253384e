package dialect_test

import (
	"net/http"
	"testing"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestPositionsOfTheTherapistArriveAsTheyWereSent(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t, classic)
	customer, therapist, own := open(t, a, world.Customer, locationPath), open(t, b, world.Therapist, locationPath), a.Location(t, world.Customer)
	send := func(sent, want string) {
		t.Helper()
		therapist.Send(t, sent)
		for _, s := range []*world.Socket{customer, therapist} {
			if f := s.Next(t); f.Raw != want {
				t.Fatalf("%s arrives as %s, want %s", sent, f.Raw, want)
			}
		}
	}
	customer.Send(t, `{"latitude":1.5,"longitude":2.5}`) // goes to nobody
	therapist.Send(t, `{"latitude":0,"longitude":2}`)    // 0 counts as missing
	therapist.Send(t, `no JSON`)
	send(`{"latitude":52.520,"longitude":13,"type":"ping"}`, `{"type": "location", "latitude": 52.520, "longitude": 13, "therapist_id": "2"}`)
	if f := own.Expect(t, "location_update"); f.UserID != 2 || *f.Latitude != 52.52 || *f.Longitude != 13 {
		t.Errorf("a client of roomspa's protocol gets %s", f.Raw)
	}
	send(`{"latitude":"52.5","longitude":13}`, `{"type": "location", "latitude": "52.5", "longitude": 13, "therapist_id": "2"}`)
	send(`{"latitude":91,"longitude":1e3}`, `{"type": "location", "latitude": 91, "longitude": 1e3, "therapist_id": "2"}`)
	send(`{"latitude":1,"longitude":2}`, `{"type": "location", "latitude": 1, "longitude": 2, "therapist_id": "2"}`)
	if f := own.Expect(t, "location_update"); *f.Latitude != 1 { // not those that it would be refused for
		t.Errorf("a client of roomspa's protocol gets %s", f.Raw)
	}

	// Of a therapist with a newer app.
	newer := b.Location(t, world.Therapist)
	newer.Send(t, `{"latitude":3,"longitude":4.50,"accuracy":5}`)
	if f := customer.Next(t); f.Raw != `{"type": "location", "latitude": 3, "longitude": 4.50, "therapist_id": "2"}` {
		t.Errorf("the customer gets %s", f.Raw)
	}
	therapist.Next(t)
	own.Expect(t, "location_update")
	own.Send(t, `{"latitude":5,"longitude":6}`)
	own.ExpectError(t, "wrong_role", "")

	// Who connects later gets no earlier position.
	late := open(t, a, world.Customer, locationPath)
	send(`{"latitude":7,"longitude":8}`, `{"type": "location", "latitude": 7, "longitude": 8, "therapist_id": "2"}`)
	if f := late.Next(t); *f.Latitude != 7 {
		t.Errorf("a late socket gets %s", f.Raw)
	}
}

func TestPositionsOfBothSidesIfTheOperatorWantsThem(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a", classic, func(o *app.Options) { o.LocationFrom = "both" })
	customer, therapist, own := open(t, r, world.Customer, locationPath), open(t, r, world.Therapist, locationPath), r.Location(t, world.Therapist)
	customer.Send(t, `{"latitude":1.5,"longitude":2.5}`)
	if f := own.Expect(t, "location_update"); f.UserID != 1 || f.Role != "customer" {
		t.Errorf("the therapist gets %s", f.Raw)
	}
	therapist.Send(t, `{"latitude":3,"longitude":4}`)
	if f := therapist.Next(t); *f.Latitude != 3 { // an old app would take the customer's for its own
		t.Errorf("the app of the predecessor gets %s", f.Raw)
	}

	only := world.New(t).Ready(t, "b", func(o *app.Options) { o.LocationFrom = "therapist" }).Location(t, world.Customer)
	only.Send(t, `{"latitude":5,"longitude":6}`)
	only.ExpectError(t, "wrong_role", "")
}

func TestNoPositionPassesABlock(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a", classic)
	r.Chat(t, world.Customer) // who has no conversation with somebody cannot block them
	therapist := open(t, r, world.Therapist, locationPath)
	if res, body := r.Request(t, http.MethodPost, "/api/users/2/block/", w.Token(t, world.Customer), ""); res.StatusCode >= 300 {
		t.Fatalf("block: %d %s", res.StatusCode, body)
	}
	world.Eventually(t, "positions that other clients cannot read are dropped", func() (bool, any) {
		therapist.Send(t, `{"latitude":"x","longitude":2}`)
		n := r.Metric(t, `roomspa_classic_positions_total{outcome="blocked"}`)
		return n > 0, n
	})
	passed := r.Metric(t, `roomspa_classic_positions_total{outcome="passed"}`)
	dropped := r.Metric(t, `roomspa_positions_total{outcome="blocked"}`)
	therapist.Send(t, `{"latitude":1,"longitude":2}`)
	world.Eventually(t, "other positions are dropped", func() (bool, any) {
		n := r.Metric(t, `roomspa_positions_total{outcome="blocked"}`)
		return n == dropped+1, n
	})
	if n := r.Metric(t, `roomspa_classic_positions_total{outcome="passed"}`); n != passed {
		t.Errorf("%v positions pass a block", n-passed)
	}
}
