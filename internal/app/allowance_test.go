package app_test

import (
	"sync"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

// allowance returns how much longer than promised n sockets may take on this machine at this moment: ten times what n good
// handshakes side by side take. So a promise about time can be tested beside any load.
func allowance(t *testing.T, r *world.Replica, n int) time.Duration {
	t.Helper()
	began := time.Now()
	var all sync.WaitGroup
	for range n {
		all.Go(func() { r.Chat(t, world.Customer).ExpectNothing(t) })
	}
	all.Wait()
	return 10 * time.Since(began)
}

// expectWithin fails the test if f takes longer than limit.
func expectWithin(t *testing.T, what string, limit time.Duration, f func()) {
	t.Helper()
	began := time.Now()
	f()
	if took := time.Since(began); took > limit {
		t.Errorf("%s took %v, more than %v", what, took, limit)
	}
}
