package soak

import (
	"cmp"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

// stateVariable makes the test below last as long as a real run: ROOMSPA_TEST_STATE=10m kills a
// replica every 20 s, and Redis loses messages for a minute.
const stateVariable = "ROOMSPA_TEST_STATE"

// TestAllDevicesAgreeInTheEnd has two people with three devices each, one of them an inbox, on
// four replicas. Replicas are killed one after the other, and Redis loses every tenth message.
// In the end all devices have the same cursors, numbers of unread messages and presence.
func TestAllDevicesAgreeInTheEnd(t *testing.T) {
	length, err := time.ParseDuration(cmp.Or(os.Getenv(stateVariable), "12s"))
	if err != nil {
		t.Fatal(err)
	}
	between, loss := 20*time.Second, time.Minute
	if length < 2*time.Minute {
		between, loss = length/4, length/2
	}
	t.Parallel()
	s := newSceneIn(t, world.NewWith(t, oneRoom, processes), 4, processes)
	s.talk(t)
	var losing sync.WaitGroup
	for n := range s.replicas {
		losing.Go(func() { s.fault(t, redisLoss, n, loss, 0) })
	}
	for n := 0; time.Since(s.began) < length-between; n++ {
		pause(t.Context(), between)
		s.fault(t, replicaKill, n%len(s.replicas), time.Second, 0)
	}
	losing.Wait()
	s.acknowledge(t, 25)
	v := s.verdictWithin(t, 15*time.Second)
	dropped := 0
	for _, r := range s.replicas {
		dropped += r.redis.Counts().Dropped
	}
	t.Logf("%d published messages were lost", dropped)
	if dropped == 0 || v.Reconnects == 0 {
		t.Errorf("%d published messages were lost, %d reconnects: that shows nothing", dropped, v.Reconnects)
	}
}
