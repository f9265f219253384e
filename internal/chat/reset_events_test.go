package chat

import (
	"context"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

func TestEventsAroundAResetComeOnceAndInOrder(t *testing.T) {
	inBubble(t, 5, nil, func(d *desk) {
		d.restore(2)
		d.s.missed(true)
		d.hear(2) // committed before the conversation is loaded
		d.set(func() {
			d.onLoad = func() {
				d.onLoad = nil
				d.say(3) // after the store was read
				d.hear(2, 5, 3)
			}
		})
		d.want("resumed 3-2 reset=true", "3")
		d.hear(4)
		d.want("4", "5")
		if d.reads != 0 {
			t.Errorf("the store was read %d times for messages that arrived", d.reads)
		}
	})
}

func TestMessagesLostDuringAResetAreFound(t *testing.T) {
	inBubble(t, 5, nil, func(d *desk) {
		d.restore(2)
		d.s.missed(true)
		d.set(func() {
			d.onLoad = func() {
				d.onLoad = nil
				d.say(inboxFrames + 10)
				for n := range int64(inboxFrames + 10) {
					d.hear(n + 3)
				}
			}
		})
		if got := d.next(); got != "resumed 3-2 reset=true" {
			t.Fatalf("got %q", got)
		}
		for n := range int64(inboxFrames + 10) {
			if m, err := d.take(); err != nil || m.Data == nil || d.s.cursor.seen != n+3 {
				t.Fatalf("at %d: %s, %v", n+3, m.Data, err)
			}
		}
		d.want()
	})
}

func TestASecondResetDuringAResetIsOneForTheClient(t *testing.T) {
	inBubble(t, 5, nil, func(d *desk) {
		d.restore(3)
		d.s.missed(true)
		d.s.missed(true)
		d.set(func() {
			d.onLoad = func() {
				d.onLoad = nil
				d.hear(3)
				d.restore(1)
				d.s.missed(true)
			}
		})
		d.want("resumed 2-1 reset=true")
		d.restore(4)
		d.s.missed(true)
		d.want("resumed 5-4 reset=true")
	})
}

// rereading is a desk whose After is interrupted.
type rereading struct {
	*desk

	during func()
}

func (r *rereading) After(ctx context.Context, c room.ID, seq int64, limit, size int) ([]room.Message, bool, error) {
	messages, more, err := r.desk.After(ctx, c, seq, limit, size)
	if during := r.during; during != nil {
		r.during = nil
		during()
	}
	return messages, more, err
}

func TestMessagesThatWereReadBeforeAResetAreDropped(t *testing.T) {
	inBubble(t, 2, nil, func(d *desk) {
		d.say(2)
		d.chat.store = &rereading{d, func() {
			d.restore(1)
			d.s.missed(true)
		}}
		d.s.catchUp(4)
		d.want("resumed 2-1 reset=true")
	})
}

// An old message may be of a database that was restored while no replica ran, so that the
// timeline is the same. Somebody has recorded it and sends it again.
func TestAnOldMessageIsTakenFromTheStore(t *testing.T) {
	inBubble(t, 1, nil, func(d *desk) {
		d.say(2)
		gone := d.stored[2]
		gone.Text, gone.Seq = "gone", 5
		old := func(m *room.Message) {
			e := asEvent(newEvent(m))
			e.At = e.At.Add(-31 * time.Second)
			d.s.deliver(e)
		}
		old(&d.stored[0]) // was taken before
		d.want()
		if d.reads != 0 {
			t.Errorf("the store was read %d times for a message that was taken", d.reads)
		}
		old(&d.stored[1])
		d.want("2", "3")
		old(&gone)
		d.want()
		d.say(1) // and lost
		if !d.chat.sweep(d.t.Context(), sweepOverlap) {
			t.Fatal("the sweep failed")
		}
		d.want("4")
		d.say(1)
		d.hear(5)
		d.want("5")
	})
}
