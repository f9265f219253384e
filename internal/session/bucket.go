package session

import "time"

// A bucket is a token bucket that starts full. Its value is the time at which it will be
// full again, in Unix nanoseconds (the generic cell rate algorithm of ITU-T I.371), because
// every socket has two and eight bytes suffice.
type bucket int64

// allow takes a token and reports whether there was one. The bucket holds at most burst
// tokens and regains one each period.
func (b *bucket) allow(now time.Time, period time.Duration, burst int) bool {
	full := max(int64(*b), now.UnixNano())
	if full-now.UnixNano() > int64(period)*int64(burst-1) {
		return false
	}
	*b = bucket(full + int64(period))
	return true
}
