package session

import "time"

// A bucket is a token bucket, full at first, in eight bytes: when it will be full
// again, in Unix nanoseconds. (It is known as the generic cell rate algorithm, of
// ITU-T I.371.) Every socket has some of them.
type bucket int64

// allow takes a token where there is one. A token comes back each period, and the
// bucket holds at most burst of them.
func (b *bucket) allow(now time.Time, period time.Duration, burst int) bool {
	full := max(int64(*b), now.UnixNano())
	if full-now.UnixNano() > int64(period)*int64(burst-1) {
		return false
	}
	*b = bucket(full + int64(period))
	return true
}
