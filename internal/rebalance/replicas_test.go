package app_test

import (
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/app"
)

func TestReplicasTellEachOtherHowManySocketsTheyHold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	slowly := func(o *app.Options) { o.ShutdownWait, o.DrainTimeout = 4*time.Second, 4*time.Second }
	a, b := w.start(t, "a", slowly), w.start(t, "b", slowly)
	a.becomesReady(t)
	b.becomesReady(t)
	for range 4 {
		a.chat(t, customer)
	}
	b.chat(t, customer)
	b.chat(t, customer)
	knows := func(r *replica, replicas, mean float64) func() (bool, any) {
		return func() (bool, any) {
			n, m := r.metric(t, "roomspa_replicas"), r.metric(t, "roomspa_replica_mean_connections")
			return n == replicas && m == mean, []float64{n, m}
		}
	}
	eventually(t, patience, "both know of each other", func() (bool, any) {
		knowsA, seenA := knows(a, 2, 3)()
		knowsB, seenB := knows(b, 2, 3)()
		return knowsA && knowsB, []any{seenA, seenB}
	})
	go func() { _ = a.stop(t.Context()) }()
	eventually(t, patience, "the other one is alone when the first one drains", knows(b, 1, 2))
	if n := b.metric(t, `roomspa_rebalance_rounds_total{outcome="drain"}`); n < 1 {
		t.Error("no round of the other one says that somebody drains")
	}
}
