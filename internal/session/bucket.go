package session

import (
	"sync/atomic"
	"time"
)

// A bucket is a token bucket that starts full. Its value is the time at which it will be
// full again, in Unix nanoseconds (the generic cell rate algorithm of ITU-T I.371), because
// every socket has some and eight bytes suffice.
type bucket int64

// allow takes a token and reports whether there was one. The bucket holds at most burst
// tokens and regains one each period.
func (b *bucket) allow(now time.Time, period time.Duration, burst int) bool {
	next, wait := b.take(now, period, burst)
	*b = next
	return wait == 0
}

// take returns the bucket with one token less, or the time until there is a token.
func (b bucket) take(now time.Time, period time.Duration, burst int) (bucket, time.Duration) {
	full := max(int64(b), now.UnixNano())
	if wait := full - now.UnixNano() - int64(period)*int64(burst-1); wait > 0 {
		return b, time.Duration(wait)
	}
	return bucket(full + int64(period)), 0
}

// A sharedBucket is a bucket that several sockets share.
type sharedBucket struct{ value atomic.Int64 }

// take takes a token, or returns the time until there is one.
func (s *sharedBucket) take(now time.Time, period time.Duration, burst int) time.Duration {
	for {
		old := s.value.Load()
		next, wait := bucket(old).take(now, period, burst)
		if wait > 0 || s.value.CompareAndSwap(old, int64(next)) {
			return wait
		}
	}
}
