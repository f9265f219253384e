package fleet_test

import (
	"context"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

// waitHeartbeats waits until both replicas have read the keys after what the caller did.
func waitHeartbeats(t *testing.T, w *world.World) {
	t.Helper()
	since := world.Query[time.Time](t, w, "SELECT clock_timestamp()")
	world.Eventually(t, "both replicas have read the keys again", func() (bool, any) {
		n := world.Query[int](t, w, "SELECT count(*) FROM roomspa.replicas WHERE seen_at > $1", since)
		return n == 2, n
	})
}

// chatter sends messages from both sides until stop is called, one every 20 ms each, and
// expects an ack for each. stop returns how many there were.
func chatter(t *testing.T, sockets ...*world.Socket) (stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	sent := make([]int, len(sockets))
	var sending sync.WaitGroup
	for i, s := range sockets {
		sending.Go(func() {
			pace := time.NewTicker(20 * time.Millisecond)
			defer pace.Stop()
			for ; ctx.Err() == nil; <-pace.C {
				id := strconv.Itoa(i) + "-" + strconv.Itoa(sent[i])
				s.Say(t, id, id)
				if f := s.Find(t, "ack"); f.ClientMessageID != id || f.Duplicate {
					t.Errorf("acknowledged: %s, want %s", f.Raw, id)
				}
				sent[i]++
			}
		})
	}
	return func() (total int) {
		cancel()
		sending.Wait()
		for _, n := range sent {
			total += n
		}
		return total
	}
}

// A witness uses on one replica what another one has put into Redis.
type witness struct {
	here, there      *world.Replica
	marker, follower *world.Socket
	ref              string // of a refused handshake
}

func newWitness(t *testing.T, here, there *world.Replica) *witness {
	t.Helper()
	refused := here.ConnectAs(t, world.Customer, "/ws/chat/3/4/", nil)
	refused.ExpectRefusal(t, 4003, "not_your_room")
	w := &witness{here, there, here.Location(t, world.Therapist), there.Location(t, world.Customer), refused.Ref()}
	world.Eventually(t, "the story is in Redis", func() (bool, any) {
		status := w.story(t)
		return status == 200, status
	})
	return w
}

// story asks for the story of the refused handshake.
func (w *witness) story(t *testing.T) (status int) {
	t.Helper()
	status, _, _ = world.Get(t, w.there.Ops("/debug/stories/"+w.ref))
	return status
}

// move sends a position and waits for it.
func (w *witness) move(t *testing.T, latitude float64) {
	t.Helper()
	w.marker.Send(t, `{"latitude":`+strconv.FormatFloat(latitude, 'f', -1, 64)+`,"longitude":0}`)
	for _, s := range []*world.Socket{w.marker, w.follower} {
		if f := s.Expect(t, "location_update"); *f.Latitude != latitude {
			t.Errorf("got %s, want latitude %v", f.Raw, latitude)
		}
	}
}

func (w *witness) ticket(t *testing.T) string {
	t.Helper()
	return w.here.Post(t, "/api/ticket/", nil, w.here.World.Token(t, world.Customer)).Expect(t, 200, "").Ticket
}

// redeem enters with a ticket, and expects the stored position.
func (w *witness) redeem(t *testing.T, ticket string, latitude float64) {
	t.Helper()
	s := w.there.Connect(t, world.Handshake{Path: "/ws/location/1/2/", Query: url.Values{"ticket": {ticket}}})
	s.Expect(t, "connected")
	if f := s.Expect(t, "location_update"); *f.Latitude != latitude {
		t.Errorf("the stored position is %s, want latitude %v", f.Raw, latitude)
	}
}

// TestARotationUnderLoadLosesNothing goes through all steps of a rotation. It does not wait
// for the times of the keys, but changes them.
func TestARotationUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t, world.NoRateLimit)
	watchers := []*world.Socket{a.Chat(t, world.Support), b.Chat(t, world.Support)}
	stop := chatter(t, a.Chat(t, world.Customer), b.Chat(t, world.Therapist))
	witness := newWitness(t, a, b)
	witness.move(t, 1)

	current, old, err := w.OpenPostgres(t).RotateKey(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	waitHeartbeats(t, w)
	witness.move(t, 2)
	early := witness.ticket(t)
	// One replica seals with the new key up to one heartbeat before the other.
	w.Exec(t, "UPDATE roomspa.master_keys SET seals_at = now() WHERE id = $1", current.ID[:])
	waitHeartbeats(t, w)
	witness.redeem(t, early, 2)
	if status := witness.story(t); status != 200 {
		t.Errorf("the story from before the switch answers %d", status)
	}
	witness.move(t, 3)
	late := witness.ticket(t)
	w.Exec(t, "UPDATE roomspa.master_keys SET opens_until = now() WHERE id = $1", old.ID[:])
	waitHeartbeats(t, w)
	if n := world.Query[int](t, w, "SELECT count(*) FROM roomspa.master_keys"); n != 1 {
		t.Errorf("there are %d keys", n)
	}
	// What is still delivered is sealed with the new key: no replica has another one.
	witness.redeem(t, late, 3)
	witness.move(t, 4)

	sent := stop()
	all := w.Messages(t)
	if len(all) != sent || sent < 100 {
		t.Errorf("%d messages are stored of %d", len(all), sent)
	}
	for _, s := range watchers {
		world.ExpectSame(t, "a watcher", s.ExpectMessages(t, 0, sent), all)
		s.ExpectNothing(t)
	}
	for _, r := range []*world.Replica{a, b} {
		expectNothingDropped(t, r)
		if n := r.Metric(t, "roomspa_resubscriptions_total"); n != 0 {
			t.Errorf("%v subscriptions were lost", n)
		}
	}
	if status := witness.story(t); status != 404 {
		t.Errorf("the story of the old key answers %d", status)
	}
}
