package chat

import (
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

// restore replaces the stored messages by n others, as a restored backup that has been
// written to since would.
func (d *desk) restore(n int) {
	d.set(func() { d.stored, d.timeline = nil, d.timeline+1 })
	d.say(n)
}

// resets returns the number of resets of a cause.
func (d *desk) resets(cause string) (n float64) {
	families, err := d.reg.Gather()
	if err != nil {
		d.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "roomspa_resets_total" && m.GetLabel()[0].GetValue() == cause {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

func (d *desk) wakes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.woken
}

func TestAnOpenSocketStartsAnewOnARestoredDatabase(t *testing.T) {
	inBubble(t, 5, nil, func(d *desk) {
		d.say(3)
		d.hear(6, 8) // 8 waits for 7
		d.want("6")
		d.restore(2)
		woken := d.wakes()
		d.s.missed(true)
		if d.wakes() == woken {
			t.Error("the writer was not woken")
		}
		d.want("resumed 3-2 reset=true")
		d.say(1)
		d.hear(2, 3)
		d.want("3")
		d.say(1) // and lost
		if !d.chat.sweep(d.t.Context(), sweepOverlap) {
			t.Fatal("the sweep failed")
		}
		d.want("4")
		if n := d.resets("restored"); n != 1 || d.loads != 2 {
			t.Errorf("counted %v resets, %d loads", n, d.loads)
		}
		if n := d.s.Behind(); n != 0 {
			t.Errorf("%d messages behind", n)
		}
	})
}

func TestASocketThatWasAheadIsNotTooSlowAfterAReset(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		d.say(2 * maxBehind)
		d.hear(2 * maxBehind)
		d.restore(1)
		d.s.missed(true)
		d.hear(1)
		if n := d.s.Behind(); n != 0 {
			t.Errorf("%d messages behind before the reset", n)
		}
		d.want("resumed 2-1 reset=true")
		d.say(1)
		d.hear(2)
		d.want("2")
	})
}

func TestAResetWaitsForAStoreThatFails(t *testing.T) {
	inBubble(t, 5, nil, func(d *desk) {
		d.set(func() { d.failLoad = room.ErrUnavailable })
		d.restore(2)
		d.s.missed(true)
		began := time.Now()
		for time.Since(began) < time.Minute {
			d.want()
			time.Sleep(20 * time.Millisecond) //nolint:forbidigo // the bubble's time
		}
		if d.loads < 10 || d.loads > 60 {
			t.Errorf("asked %d times in a minute", d.loads)
		}
		receive(d, `{"type":"ping"}`)
		d.want("pong 0") // answers do not wait
		d.say(1)
		d.hear(3)
		d.set(func() { d.failLoad = nil })
		woken := d.wakes()
		time.Sleep(maxRetry) //nolint:forbidigo // the bubble's time
		synctest.Wait()
		if d.wakes() == woken {
			t.Error("nobody looks again")
		}
		d.want("resumed 4-3 reset=true")
		d.say(1)
		d.hear(4)
		d.want("4")
	})
}

func TestAResetEndsAReplay(t *testing.T) {
	since := int64(0)
	inBubble(t, 5, &since, func(d *desk) {
		if got := d.next(); got != "1" {
			t.Fatalf("got %q", got)
		}
		d.restore(3)
		d.s.missed(true)
		d.want("resumed 4-3 reset=true")
	})
}

func TestAResetBeforeASocketIsOpenedIsNotLost(t *testing.T) {
	for name, q := range map[string]url.Values{"live": nil, "resuming": {"since": {"2"}}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t, 5)
				d.s = d.consumer(&room.User{ID: 1, Role: room.Customer}, q)
				d.hear(5)
				d.onLoad = func() { // the old messages were read
					d.onLoad = nil
					d.restore(3)
					d.s.missed(true)
					d.hear(3)
				}
				if err := d.s.Open(t.Context()); err != nil {
					t.Fatal(err)
				}
				d.want("connected 5", "resumed 4-3 reset=true")
				d.say(1)
				d.hear(3, 4)
				d.want("4")
				d.s.Closed()
			})
		})
	}
}

func TestAConversationThatIsGoneIsCreatedAgain(t *testing.T) {
	inBubble(t, 5, nil, func(d *desk) {
		gone := d.id
		d.set(func() { d.id = room.ID{9} })
		d.restore(1)
		receive(d, `{"message":"hi","client_message_id":"a"}`)
		receive(d, `{"message":"hi","client_message_id":"b"}`)
		d.want("error database_unavailable a", "error database_unavailable b", "resumed 2-1 reset=true")
		receive(d, `{"message":"hi","client_message_id":"a"}`)
		receive(d, `{"type":"history"}`)
		d.want("ack 2", "history 0")
		if m := d.stored[1]; m.Conversation != d.id || m.ClientMessageID != "a" {
			t.Errorf("stored %+v", m)
		}
		if !d.chat.sweep(d.t.Context(), sweepOverlap) {
			t.Fatal("the sweep failed")
		}
		d.want("2")
		if d.chat.sockets[gone] != nil || len(d.chat.sockets[d.id]) != 1 {
			t.Errorf("the socket is listed under %v", d.chat.sockets)
		}
		if n := d.resets("restored"); n != 1 {
			t.Errorf("counted %v resets", n)
		}
		d.s.resetWithout(gone) // the answer to an older message
		d.want()
		d.s.Closed()
		if len(d.chat.sockets) != 0 {
			t.Errorf("listed after its end: %v", d.chat.sockets)
		}
	})
}
