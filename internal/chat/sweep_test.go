package chat

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func TestLostLastMessageIsFoundByTheSweep(t *testing.T) {
	inBubble(t, 1, nil, func(d *desk) {
		d.say(1) // and never published
		d.want()
		if !d.chat.sweep(d.t.Context(), sweepOverlap) {
			t.Fatal("the sweep failed")
		}
		d.want("2")
	})
}

// A lost last message raises no doubt by itself: only the look that comes in any
// case finds it.
func TestALookComesByItselfEveryTenSeconds(t *testing.T) {
	inBubble(t, 1, nil, func(d *desk) {
		ctx, stop := context.WithCancel(d.t.Context())
		go d.chat.Run(ctx)
		for n := range 10 {
			d.say(1) // and never published
			d.want()
			time.Sleep(sweepInterval * 3 / 2) // of the bubble's clock
			synctest.Wait()
			d.want(strconv.Itoa(n + 2))
		}
		stop()
		synctest.Wait()
	})
}
