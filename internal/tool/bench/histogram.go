package bench

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// A histogram counts durations in buckets of at most 3 % width, from one
// microsecond to an hour. It may be recorded to by many goroutines.
type histogram struct {
	buckets [32 * 34]atomic.Uint64
	most    atomic.Int64
}

// bucketOf is exact below 64 us; above, each power of two has 32 buckets.
func bucketOf(us uint64) int {
	if us < 64 {
		return int(us)
	}
	e := bits.Len64(us) - 6
	return 32*e + int(us>>e)
}

// top returns the highest value of a bucket.
func top(bucket int) uint64 {
	if bucket < 64 {
		return uint64(bucket)
	}
	e := bucket/32 - 1
	return uint64(bucket-32*e+1)<<e - 1
}

func (h *histogram) record(d time.Duration) {
	us := max(0, d.Microseconds())
	h.buckets[min(bucketOf(uint64(us)), len(h.buckets)-1)].Add(1)
	for {
		most := h.most.Load()
		if int64(d) <= most || h.most.CompareAndSwap(most, int64(d)) {
			return
		}
	}
}

// Latency is how long something took: quantiles in milliseconds.
type Latency struct {
	Count uint64  `json:"count"`
	P50   float64 `json:"p50_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p999_ms"`
	Max   float64 `json:"max_ms"`
}

func (h *histogram) latency() Latency {
	var counts [len(h.buckets)]uint64
	l := Latency{Max: ms(time.Duration(h.most.Load()))}
	for i := range counts {
		counts[i] = h.buckets[i].Load()
		l.Count += counts[i]
	}
	for _, q := range []struct {
		to *float64
		at float64
	}{{&l.P50, .5}, {&l.P99, .99}, {&l.P999, .999}} {
		rank, seen := uint64(q.at*float64(l.Count)), uint64(0)
		for i, c := range counts {
			if seen += c; seen > rank {
				*q.to = min(ms(time.Duration(top(i))*time.Microsecond), l.Max)
				break
			}
		}
	}
	return l
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
