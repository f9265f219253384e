package bench

import (
	"testing"
	"time"
)

func TestBucketsAreNarrowAndMeetEachOther(t *testing.T) {
	t.Parallel()
	last := -1
	for us := uint64(0); us < 1<<22; us += 1 + us/200 {
		b := bucketOf(us)
		if b < last || b > last+1 && us < 64 {
			t.Fatalf("%d us is in bucket %d after %d", us, b, last)
		}
		if upperBound(b) < us || float64(upperBound(b)) > 1.04*float64(us)+1 {
			t.Fatalf("%d us is in a bucket up to %d us", us, upperBound(b))
		}
		last = b
	}
}

func TestQuantiles(t *testing.T) {
	t.Parallel()
	var h histogram
	for i := range 1000 {
		h.record(time.Duration(i+1) * time.Millisecond)
	}
	l := h.latency()
	for _, c := range []struct{ got, want float64 }{{l.P50, 500}, {l.P99, 990}, {l.P999, 999}, {l.Max, 1000}} {
		if c.got < 0.98*c.want || c.got > 1.04*c.want {
			t.Errorf("got %v, want %v (%+v)", c.got, c.want, l)
		}
	}
	h.record(24 * time.Hour) // beyond the last bucket, and no panic
}

func TestASequenceTellsLossFromRepetitionAndDisorder(t *testing.T) {
	t.Parallel()
	var s sequence
	for _, n := range []int64{0, 1, 4, 2, 2, 1, 6} {
		s.add(n)
	}
	var missing []int64
	s.eachMissing(9, func(n int64) { missing = append(missing, n) })
	if s.reordered != 1 || s.repeated != 2 || len(missing) != 4 || s.contains(3) || !s.contains(4) || s.contains(7) {
		t.Errorf("%+v, missing %v", s, missing)
	}
}
