package world

import (
	"testing"
	"time"
)

// Eventually asks again and again until the answer is yes. It fails the test after Limit, with what was seen last.
func Eventually(t testing.TB, what string, ask func() (yes bool, seen any)) {
	t.Helper()
	deadline := time.Now().Add(Limit)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		yes, seen := ask()
		if yes {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v; last seen: %+v", what, Limit, seen)
		}
		<-tick.C
	}
}

// Wait waits until done is closed, or fails the test after Limit.
func Wait(t testing.TB, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(Limit):
		t.Fatalf("%s: not within %v", what, Limit)
	}
}
