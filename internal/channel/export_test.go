package channel

import "time"

// UseShardedAt is UseSharded at another time.
func (l *Layer) UseShardedAt(refusal error, now time.Time) { l.useSharded(refusal, now) }
