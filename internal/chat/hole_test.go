package chat

import (
	"testing"
	"time"
)

// TestAHoleInTheStoreDoesNotReachTheClient which would come back for the missing number again
// and again: somebody has deleted messages by SQL.
func TestAHoleInTheStoreDoesNotReachTheClient(t *testing.T) {
	since := int64(1)
	inBubble(t, 4, &since, func(d *desk) {
		d.set(func() { d.deleted = map[int64]bool{3: true} })
		d.want("resumed 5-4 reset=true")
		d.say(1)
		d.hear(5)
		d.want("5")
	})
}

func TestAnOpenSocketSkipsAHoleInTheStore(t *testing.T) {
	inBubble(t, 5, nil, func(d *desk) {
		d.say(3)
		d.set(func() { d.deleted = map[int64]bool{7: true} })
		d.hear(6, 8)
		d.want("6")
		time.Sleep(holeWait + time.Millisecond) // of the bubble's clock
		d.want("resumed 9-8 reset=true")
		d.say(1)
		d.hear(9)
		d.want("9")
	})
}
