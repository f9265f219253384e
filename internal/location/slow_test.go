package location_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestAStalledLocationReaderGetsTheNewestPositionAndNotAllThatItMissed(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a", world.NoRateLimit, func(o *app.Options) { o.WriteTimeout = time.Minute })
	from, to := r.Location(t, world.Therapist), r.StallAs(t, world.Customer, "/ws/location/1/2/")
	sent, echoed := 0, 0
	tell := func(n int) {
		for range n {
			sent++
			from.Send(t, `{"latitude":1,"longitude":2,"speed":`+strconv.Itoa(sent)+`}`)
		}
		for newest := 0.0; newest != float64(sent); echoed++ { // the sender may be slow, too
			newest = *from.Expect(t, "location_update").Speed
		}
	}
	// It is certain to be stalled when positions are left out for it.
	world.Eventually(t, "positions are left out", func() (bool, any) {
		tell(50)
		n := r.Metric(t, `roomspa_drops_total{class="location"}`) - float64(sent-echoed)
		return n >= 100, n
	})
	last, before, n := 0.0, 0.0, 0
	for ; last < float64(sent); n++ {
		g, err := to.Read(t)
		if err != nil {
			t.Fatalf("after %d positions: %v", n, err)
		}
		if before, last = last, *g.Speed; last <= before {
			t.Fatalf("position %v came after %v", last, before)
		}
	}
	if n > sent-50 {
		t.Errorf("it got %d of %d positions: they wait somewhere", n, sent)
	}
	tell(1) // and it follows again
	if g, err := to.Read(t); err != nil || *g.Speed != float64(sent) {
		t.Errorf("then came %s: %v", g.Raw, err)
	}
}
