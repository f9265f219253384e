package world

import (
	"testing"
	"time"
)

// Eventually asks again and again until the answer is yes. It fails the test after Limit, with what was seen last. The
// longer it waits, the more rarely it asks.
func Eventually(t testing.TB, what string, ask func() (yes bool, seen any)) {
	t.Helper()
	for began := time.Now(); ; {
		yes, seen := ask()
		if yes {
			return
		}
		waited := time.Since(began)
		if waited > Limit {
			t.Fatalf("%s: not within %v; last seen: %+v", what, Limit, seen)
		}
		<-time.After(min(max(waited/10, 10*time.Millisecond), 500*time.Millisecond))
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
