package bench

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// A histogram counts durations from one microsecond to an hour in buckets that are at
// most 3 % wide. It is safe for concurrent use.
type histogram struct {
	buckets [32 * 34]atomic.Uint64
	max     atomic.Int64 // nanoseconds
}

// bucketOf returns the bucket of a value. Below 64 us each value has its own bucket;
// above, each power of two has 32 buckets.
func bucketOf(us uint64) int {
	if us < 64 {
		return int(us)
	}
	e := bits.Len64(us) - 6
	return 32*e + int(us>>e)
}

// upperBound returns the highest value of a bucket.
func upperBound(bucket int) uint64 {
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
		highest := h.max.Load()
		if int64(d) <= highest || h.max.CompareAndSwap(highest, int64(d)) {
			return
		}
	}
}

// Latency holds the quantiles of a duration, in milliseconds.
type Latency struct {
	Count uint64  `json:"count"`
	P50   float64 `json:"p50_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p999_ms"`
	Max   float64 `json:"max_ms"`
}

func (h *histogram) latency() Latency {
	var counts [len(h.buckets)]uint64
	l := Latency{Max: milliseconds(time.Duration(h.max.Load()))}
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
				*q.to = min(milliseconds(time.Duration(upperBound(i))*time.Microsecond), l.Max)
				break
			}
		}
	}
	return l
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
