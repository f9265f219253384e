package chat

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspa/roomspa/internal/budget"
)

// The timer of an ack must not end the wait of a page that the budget has refused.
func TestAPausedPageIsReadAlthoughAnAckWasSentMeanwhile(t *testing.T) {
	inBubble(t, 3, nil, func(d *desk) {
		b := budget.New(4 << 20)
		d.account.Open(b, false)
		var others []*budget.Account
		for b.Total()-b.Held() > replayBytes { // each takes half of what is left
			other := new(budget.Account)
			other.Open(b, false)
			for other.Take(4 << 10) {
			}
			others = append(others, other)
		}
		receive(d, `{"type":"history"}`)
		d.want()
		receive(d, `{"message":"hello","client_message_id":"x"}`)
		d.want("ack 4")
		for _, other := range others {
			other.Close()
		}
		woken := d.wakes()
		time.Sleep(maxRetry) //nolint:forbidigo // the bubble's time
		synctest.Wait()
		if d.wakes() == woken {
			t.Fatal("nobody looks again")
		}
		d.history()
	})
}
