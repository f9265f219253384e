package rebalance_test

import (
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestReplicasTellEachOtherHowManySocketsTheyHold(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	slowly := func(o *app.Options) { o.ShutdownWait, o.DrainTimeout = 4*time.Second, 4*time.Second }
	a, b := w.Start(t, "a", slowly), w.Start(t, "b", slowly)
	a.WaitReady(t)
	b.WaitReady(t)
	for range 4 {
		a.Chat(t, world.Customer)
	}
	b.Chat(t, world.Customer)
	b.Chat(t, world.Customer)
	knows := func(r *world.Replica, replicas, mean float64) func() (bool, any) {
		return func() (bool, any) {
			n, m := r.Metric(t, "roomspa_replicas"), r.Metric(t, "roomspa_replica_mean_connections")
			return n == replicas && m == mean, []float64{n, m}
		}
	}
	world.Eventually(t, "both know of each other", func() (bool, any) {
		knowsA, seenA := knows(a, 2, 3)()
		knowsB, seenB := knows(b, 2, 3)()
		return knowsA && knowsB, []any{seenA, seenB}
	})
	go func() { _ = a.Stop(t.Context()) }()
	world.Eventually(t, "the other one is alone when the first one drains", knows(b, 1, 2))
	if n := b.Metric(t, `roomspa_rebalance_rounds_total{outcome="drain"}`); n < 1 {
		t.Error("no round of the other one says that somebody drains")
	}
}
