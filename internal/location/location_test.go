package location_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestPositions(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t)
	from, to, reader := a.Location(t, world.Therapist), b.Location(t, world.Customer), b.Location(t, world.Support)
	from.Send(t, `{"latitude":-48.2082,"longitude":179.99999999,"accuracy":0,"heading":360,"speed":1e2,"recorded_at":"2026-01-31T13:00:00.1239+01:00","battery":7}`)
	for _, s := range []*world.Socket{from, to, reader} { // the sender's own too
		g := s.Expect(t, "location_update")
		want := `{"type":"location_update","user_id":2,"role":"therapist","latitude":-48.2082,"longitude":179.99999999,` +
			`"accuracy":0.0,"heading":360.0,"speed":100.0,"recorded_at":"2026-01-31T12:00:00.123Z","timestamp":"` + g.Timestamp + `"}`
		if g.Raw != want {
			t.Errorf("got  %s\nwant %s", g.Raw, want)
		}
		at, err := time.Parse("2006-01-02T15:04:05.000Z", g.Timestamp)
		if err != nil || time.Since(at).Abs() > time.Minute {
			t.Errorf("timestamp %q", g.Timestamp)
		}
	}
	to.Send(t, `{"type":"location_update","latitude":0,"longitude":-0.0}`)
	if g := from.Expect(t, "location_update"); g.Role != "customer" || g.Accuracy != nil || g.RecordedAt != "" || g.Heading != nil {
		t.Errorf("what was not sent is left out: %s", g.Raw)
	}
	reader.Expect(t, "location_update")
	reader.Send(t, `{"latitude":0,"longitude":0}`)
	reader.ExpectError(t, "wrong_role", "")

	// Who joins gets the last position of each side, on whichever replica.
	for _, r := range []*world.Replica{a, b} {
		s := r.Location(t, world.Support)
		seen := map[string]*float64{}
		for range 2 {
			g := s.Expect(t, "location_update")
			seen[g.Role] = g.Latitude
		}
		if *seen["therapist"] != -48.2082 || *seen["customer"] != 0 {
			t.Errorf("last positions: %v", seen)
		}
		s.ExpectNothing(t)
	}
	if s := a.ConnectAs(t, world.OtherCustomer, "/ws/location/3/4/", nil); true {
		s.Expect(t, "connected") // another room
		s.ExpectNothing(t)
	}
}

// lastIs waits until whoever joins gets a position with this latitude.
func lastIs(t *testing.T, r *world.Replica, want string) {
	t.Helper()
	world.Eventually(t, "the last position is "+want, func() (bool, any) {
		g := r.Location(t, world.Customer).Expect(t, "location_update")
		return strconv.FormatFloat(*g.Latitude, 'f', -1, 64) == want, g.Raw
	})
}

func TestASocketsPositionsStayInTheOrderOfRecording(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t)
	phone, to := a.Location(t, world.Therapist), b.Location(t, world.Customer)
	for _, c := range []struct{ frame, want string }{
		{`{"latitude":1,"longitude":0,"recorded_at":"2026-01-31T12:00:10Z"}`, "1"},
		{`{"latitude":2,"longitude":0,"recorded_at":"2026-01-31T12:00:09.999Z"}`, ""},  // recorded before, arrived later
		{`{"latitude":3,"longitude":0,"recorded_at":"2026-01-31T12:00:10Z"}`, "3"},     // at the same moment
		{`{"latitude":4,"longitude":0}`, "4"},                                          // says nothing
		{`{"latitude":5,"longitude":0,"recorded_at":"2020-01-01T00:00:00Z"}`, "5"},     // the one before said nothing
		{`{"latitude":6,"longitude":0,"recorded_at":"2019-01-01T00:00:00.000Z"}`, ""},  // recorded before
		{`{"latitude":7,"longitude":0,"recorded_at":"2020-01-01T00:00:00.001Z"}`, "7"}, // recorded after
	} {
		phone.Send(t, c.frame)
		if c.want == "" {
			phone.ExpectNothing(t)
			to.ExpectNothing(t)
			continue
		}
		if g := to.Expect(t, "location_update"); strconv.FormatFloat(*g.Latitude, 'f', -1, 64) != c.want {
			t.Errorf("got %s, want %s", g.Raw, c.want)
		}
		phone.Expect(t, "location_update")
		lastIs(t, a, c.want)
	}
	if n := a.Metric(t, `roomspa_positions_total{outcome="outdated"}`); n != 2 {
		t.Errorf("%v positions are counted as outdated, want 2", n)
	}
}

// TestAClockThatIsWrongFreezesNoMap sends from a device whose clock is ahead, and then from
// the same device with the right time, or from another one of the same user.
func TestAClockThatIsWrongFreezesNoMap(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t)
	phone, watch, to := a.Location(t, world.Therapist), b.Location(t, world.Therapist), b.Location(t, world.Customer)
	n := 0
	send := func(from *world.Socket, at time.Time) world.Frame {
		t.Helper()
		n++
		from.Send(t, `{"latitude":`+strconv.Itoa(n)+`,"longitude":0,"recorded_at":"`+at.UTC().Format(time.RFC3339)+`"}`)
		g := to.Expect(t, "location_update")
		if *g.Latitude != float64(n) {
			t.Errorf("got %s, want position %d", g.Raw, n)
		}
		lastIs(t, a, strconv.Itoa(n))
		return g
	}
	for _, ahead := range []time.Time{time.Now().Add(time.Hour), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)} {
		if g := send(phone, ahead); g.RecordedAt != "" {
			t.Errorf("a time of the future is passed on: %s", g.Raw)
		}
		send(phone, time.Now())
	}
	if g := send(phone, time.Now().Add(30*time.Second)); g.RecordedAt == "" {
		t.Errorf("a time 30 s ahead is left out: %s", g.Raw)
	}
	send(watch, time.Now().Add(-time.Hour)) // a clock that is late
	send(watch, time.Now().Add(-59*time.Minute))
}

func TestAPositionIsForgotten(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a", func(o *app.Options) { o.PositionTTL = time.Second })
	s := r.Location(t, world.Therapist)
	s.Send(t, `{"latitude":1,"longitude":2}`)
	s.Expect(t, "location_update")
	world.Eventually(t, "nobody is told of the position any more", func() (bool, any) {
		other := r.Location(t, world.Customer)
		other.Send(t, `{"type":"ping"}`)
		g := other.Next(t)
		return g.Type == "pong", g.Raw
	})
}
