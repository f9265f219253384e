package api

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

// A forgetful throttle allows every attempt, as if somebody kept deleting its keys.
type forgetful struct {
	err          error
	taken, given int
}

func (f *forgetful) Take(context.Context, []string, []int) (int, time.Duration, error) {
	f.taken++
	return -1, 0, f.err
}

func (f *forgetful) Give(context.Context, []string, []int) error {
	f.given++
	return nil
}

func TestAReplicaCountsAttemptsByItself(t *testing.T) {
	t.Parallel()
	const a, b, c = "pair a", "pair b", "pair c"
	const pair, account, address = 0, 1, 2
	type attempt struct {
		after  time.Duration
		by     string // the first bucket; the others are the same for all
		refund bool
		full   int // the bucket that refuses the attempt, or -1
	}
	for name, attempts := range map[string][]attempt{
		"an empty bucket":         {{0, a, false, -1}, {0, a, false, -1}, {0, a, false, pair}, {0, b, false, -1}},
		"the longest wait counts": {{0, a, false, -1}, {0, b, false, -1}, {0, a, false, -1}, {0, c, false, address}, {0, a, false, pair}},
		"tokens come back":        {{0, a, false, -1}, {0, a, false, -1}, {25 * time.Second, a, false, pair}, {5 * time.Second, a, false, -1}, {0, a, false, pair}},
		"all come back":           {{0, a, false, -1}, {0, a, false, -1}, {time.Minute, a, false, -1}, {0, a, false, -1}, {0, a, false, pair}},
		"refunds":                 {{0, a, true, -1}, {0, a, true, -1}, {0, a, true, -1}, {0, a, false, -1}, {0, a, false, -1}, {0, a, false, pair}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				fleet := &forgetful{}
				throttle := newReplicaThrottle(fleet)
				taken, given := 0, 0
				for i, at := range attempts {
					time.Sleep(at.after) //nolint:forbidigo // the bubble's time
					names, limits := []string{at.by, "account", "address"}, []int{2, 300, 3}
					full, wait, err := throttle.Take(t.Context(), names, limits)
					if full != at.full || err != nil || (full < 0) != (wait == 0) || wait > 30*time.Second {
						t.Errorf("attempt %d: bucket %d, want %d; wait %v, %v", i+1, full, at.full, wait, err)
					}
					if full < 0 {
						taken++
					}
					if at.refund {
						given++
						_ = throttle.Give(t.Context(), names, limits)
					}
				}
				if fleet.taken != taken || fleet.given != given { // what is refused here does not reach the fleet
					t.Errorf("%d attempts counted by the fleet and %d given back, want %d and %d", fleet.taken, fleet.given, taken, given)
				}
			})
		})
	}
}

func TestWithoutRedisAReplicaCountsNothing(t *testing.T) {
	t.Parallel()
	fleet := &forgetful{err: room.ErrUnavailable}
	throttle := newReplicaThrottle(fleet)
	if _, _, err := throttle.Take(t.Context(), []string{"a"}, []int{1}); err != room.ErrUnavailable || len(throttle.buckets) != 0 { //nolint:errorlint // as it is
		t.Errorf("%v, %d buckets", err, len(throttle.buckets))
	}
}

func TestAFloodDoesNotResetTheBucketOfAnAttackedAccount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		throttle := newReplicaThrottle(&forgetful{})
		throttle.max = 100
		take := func(name string) (full int) {
			full, _, _ = throttle.Take(t.Context(), []string{name}, []int{10})
			return full
		}
		for range 10 {
			take("attacked")
		}
		for i := range 3 * throttle.max {
			if take(strconv.Itoa(i)) >= 0 {
				t.Fatalf("attempt %d is refused", i)
			}
			time.Sleep(10 * time.Millisecond) //nolint:forbidigo // the bubble's time
		}
		if n := len(throttle.buckets); n != throttle.max {
			t.Errorf("%d buckets, want %d", n, throttle.max)
		}
		if take("attacked") != 0 {
			t.Error("the account can be attacked again")
		}
		if n := len(throttle.soonest); n != len(throttle.buckets) {
			t.Errorf("%d buckets in order, want %d", n, len(throttle.buckets))
		}
		time.Sleep(time.Minute) //nolint:forbidigo // the bubble's time
		take("new")
		if n := len(throttle.buckets); n != 1 {
			t.Errorf("%d buckets, although all others are full again", n)
		}
	})
}
