// Package bucket limits rates by token buckets.
package bucket

import (
	"sync/atomic"
	"time"
)

// A Bucket is a token bucket that starts full. Its value is the time at which it will be
// full again, in Unix nanoseconds (the generic cell rate algorithm of ITU-T I.371), because
// every socket has some and eight bytes suffice.
type Bucket int64

// Allow takes a token and reports whether there was one. The bucket holds at most burst
// tokens and regains one each period.
func (b *Bucket) Allow(now time.Time, period time.Duration, burst int) bool {
	next, wait := b.Take(now, period, burst)
	*b = next
	return wait == 0
}

// Take returns the bucket with one token less, or the time until there is a token.
func (b Bucket) Take(now time.Time, period time.Duration, burst int) (Bucket, time.Duration) {
	full := max(int64(b), now.UnixNano())
	if wait := full - now.UnixNano() - int64(period)*int64(burst-1); wait > 0 {
		return b, time.Duration(wait)
	}
	return Bucket(full + int64(period)), 0
}

// Full reports whether the bucket holds all its tokens.
func (b Bucket) Full(now time.Time) bool { return int64(b) <= now.UnixNano() }

// A Shared is a bucket that may be used concurrently.
type Shared struct{ value atomic.Int64 }

// Take takes a token, or returns the time until there is one.
func (s *Shared) Take(now time.Time, period time.Duration, burst int) time.Duration {
	for {
		old := s.value.Load()
		next, wait := Bucket(old).Take(now, period, burst)
		if wait > 0 || s.value.CompareAndSwap(old, int64(next)) {
			return wait
		}
	}
}
