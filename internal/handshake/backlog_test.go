package handshake_test

import (
	"fmt"
	"testing"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// TestABacklogOfPositionsShowsTheNewestAtOnce sends what an app has collected in a tunnel.
func TestABacklogOfPositionsShowsTheNewestAtOnce(t *testing.T) {
	t.Parallel()
	const n = 200
	backlog := func(t *testing.T, s *world.Socket, pings bool) {
		t.Helper()
		for i := 1; i <= n; i++ {
			s.Send(t, fmt.Sprintf(`{"latitude":%v,"longitude":2}`, float64(i)/10))
			if pings && i%50 == 0 {
				s.Send(t, `{"type":"ping"}`)
			}
		}
	}
	for name, c := range map[string]struct {
		options func(*app.Options)
		sockets int // of the therapist, which send before and share the rate of the user
		pings   bool
		most    int // positions that the customer gets
	}{
		"over the rate of the socket":   {func(o *app.Options) { o.MessageRate, o.MessageBurst = 0.25, 1 }, 0, false, 2},
		"with other frames between":     {func(o *app.Options) { o.MessageRate, o.MessageBurst = 0.25, 1 }, 0, true, 2},
		"over the rate of the user":     {func(o *app.Options) { o.MessageRate, o.MessageBurst = 0.25, 1 }, 4, false, 6},
		"with the default rate":         {func(*app.Options) {}, 0, true, n},
		"within the burst":              {func(o *app.Options) { o.MessageBurst = 2 * n }, 0, true, n},
		"within the burst, half of one": {func(o *app.Options) { o.MessageBurst = n / 2 }, 0, false, n},
	} {
		t.Run(name, func(t *testing.T) { // one at a time: a backlog must be read faster than the rate
			r := world.New(t).Ready(t, "a", c.options)
			to := r.Location(t, world.Customer)
			for range c.sockets {
				r.Location(t, world.Therapist).Send(t, `{"latitude":0,"longitude":0}`)
				to.Expect(t, "location_update")
			}
			s := r.Location(t, world.Therapist)
			backlog(t, s, c.pings)
			got := c.sockets
			for newest := 0.0; newest != n/10; {
				f := to.Expect(t, "location_update")
				newest = *f.Latitude
				got++
			}
			if got > c.most {
				t.Errorf("%d positions came before the newest, want at most %d", got-1, c.most-1)
			}
		})
	}
}
