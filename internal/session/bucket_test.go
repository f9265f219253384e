package session

import (
	"testing"
	"time"

	"golang.org/x/time/rate"
)

// A bucket allows what the well-known limiter allows.
func TestBucketIsATokenBucket(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	var b bucket
	l := rate.NewLimiter(20, 40)
	for i, pause := range []time.Duration{0, time.Millisecond, 10 * time.Millisecond, 49 * time.Millisecond, 50 * time.Millisecond, time.Second, time.Hour} {
		for j := range 100 {
			if got, want := b.allow(now, 50*time.Millisecond, 40), l.AllowN(now, 1); got != want {
				t.Fatalf("step %d, message %d: allowed is %v, want %v", i, j, got, want)
			}
			now = now.Add(pause)
		}
	}
}
