package app_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/app"
)

func TestPositions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.pair(t)
	from, to, reader := a.location(t, therapist), b.location(t, customer), b.location(t, support)
	from.send(t, `{"latitude":-48.2082,"longitude":179.99999999,"accuracy":0,"heading":360,"speed":1e2,"recorded_at":"2026-01-31T13:00:00.1239+01:00","battery":7}`)
	for _, s := range []*socket{from, to, reader} { // the sender's own too
		g := s.want(t, "location_update")
		want := `{"type":"location_update","user_id":2,"role":"therapist","latitude":-48.2082,"longitude":179.99999999,` +
			`"accuracy":0,"heading":360,"speed":100,"recorded_at":"2026-01-31T12:00:00.123Z","timestamp":"` + g.Timestamp + `"}`
		if g.raw != want {
			t.Errorf("got  %s\nwant %s", g.raw, want)
		}
		at, err := time.Parse("2006-01-02T15:04:05.000Z", g.Timestamp)
		if err != nil || time.Since(at).Abs() > time.Minute {
			t.Errorf("timestamp %q", g.Timestamp)
		}
	}
	to.send(t, `{"type":"location_update","latitude":0,"longitude":-0.0}`)
	if g := from.want(t, "location_update"); g.Role != "customer" || g.Accuracy != nil || g.RecordedAt != "" || g.Heading != nil {
		t.Errorf("what was not sent is left out: %s", g.raw)
	}
	reader.want(t, "location_update")
	reader.send(t, `{"latitude":0,"longitude":0}`)
	reader.faulty(t, "wrong_role", "")

	// Who joins gets the last position of each side, on whichever replica.
	for _, r := range []*replica{a, b} {
		s := r.location(t, support)
		seen := map[string]*float64{}
		for range 2 {
			g := s.want(t, "location_update")
			seen[g.Role] = g.Latitude
		}
		if *seen["therapist"] != -48.2082 || *seen["customer"] != 0 {
			t.Errorf("last positions: %v", seen)
		}
		s.quiet(t)
	}
	if s := a.room(t, "/ws/location/3/4/", stranger, nil); true {
		s.want(t, "connected") // another room
		s.quiet(t)
	}
}

func TestThePositionRecordedLaterStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.pair(t)
	phone, watch, to := a.location(t, therapist), b.location(t, therapist), b.location(t, customer)
	last := func(want string) {
		t.Helper()
		eventually(t, patience, "the last position is "+want, func() (bool, any) {
			g := a.location(t, customer).want(t, "location_update")
			return strconv.FormatFloat(*g.Latitude, 'f', -1, 64) == want, g.raw
		})
	}
	phone.send(t, `{"latitude":1,"longitude":0,"recorded_at":"2026-01-31T12:00:10Z"}`)
	to.want(t, "location_update")
	watch.send(t, `{"latitude":2,"longitude":0,"recorded_at":"2026-01-31T12:00:09.999Z"}`) // recorded before, arrived later
	watch.find(t, "location_update")
	to.quiet(t)
	last("1")
	watch.send(t, `{"latitude":3,"longitude":0,"recorded_at":"2026-01-31T12:00:10Z"}`) // at the same moment: what arrived later
	if g := to.want(t, "location_update"); *g.Latitude != 3 {
		t.Errorf("got %s", g.raw)
	}
	last("3")
	phone.send(t, `{"latitude":4,"longitude":0}`) // says nothing: what arrived later
	if g := to.want(t, "location_update"); *g.Latitude != 4 {
		t.Errorf("got %s", g.raw)
	}
	last("4")
	phone.send(t, `{"latitude":5,"longitude":0,"recorded_at":"2020-01-01T00:00:00Z"}`) // the one before said nothing
	if g := to.want(t, "location_update"); *g.Latitude != 5 {
		t.Errorf("got %s", g.raw)
	}
	last("5")
}

func TestAPositionIsForgotten(t *testing.T) {
	t.Parallel()
	r := newWorld(t).ready(t, "a", func(o *app.Options) { o.PositionTTL = time.Second })
	s := r.location(t, therapist)
	s.send(t, `{"latitude":1,"longitude":2}`)
	s.want(t, "location_update")
	eventually(t, patience, "nobody is told of the position any more", func() (bool, any) {
		other := r.location(t, customer)
		other.send(t, `{"type":"ping"}`)
		g := other.next(t)
		return g.Type == "pong", g.raw
	})
}
