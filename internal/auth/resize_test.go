package auth

import (
	"testing"
	"testing/synctest"
)

// TestTheNumberOfTurnsChanges while clients work and wait.
func TestTheNumberOfTurnsChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, 10)
		for range 6 {
			go func() {
				if err := q.acquire(t.Context(), Client{}); err != nil {
					t.Error(err)
				}
			}()
		}
		expect := func(running, waiting int) {
			t.Helper()
			synctest.Wait()
			if r, w := q.sizes(); r != running || w != waiting {
				t.Errorf("%d run and %d wait, want %d and %d", r, w, running, waiting)
			}
		}
		expect(1, 5)
		q.resize(3)
		expect(3, 3)
		q.resize(1)
		expect(3, 3)
		q.release()
		q.release()
		expect(1, 3) // two more than there are turns ended first
		for range 4 {
			q.release()
		}
		expect(0, 0)
	})
}
