package chat

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

func TestAnAckWaitsForItsMessageAndNotForLong(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		before := d.woken
		receive(d, `{"message":"hi"}`)
		if d.woken != before {
			t.Fatal("the ack did not wait for its message")
		}
		d.hear(1)
		if d.woken == before {
			t.Fatal("the message did not wake the writer")
		}
		d.want("ack 1", "1")
		before = d.woken
		time.Sleep(time.Minute) //nolint:forbidigo // the bubble's time
		synctest.Wait()
		if d.woken != before {
			t.Fatal("woken although both are out")
		}
		receive(d, `{"message":"hi"}`) // nothing comes over the channel layer
		time.Sleep(ackDelay)           //nolint:forbidigo // the bubble's time
		synctest.Wait()
		if d.woken != before+1 {
			t.Fatalf("woken %d times for an ack whose message does not come", d.woken-before)
		}
		d.want("ack 2")
		d.set(func() { d.down = errors.New("away") })
		receive(d, `{"message":"hi"}`)
		d.want("ack 3")
	})
}

func receive(d *desk, text string) {
	d.t.Helper()
	if err := d.s.Receive(d.t.Context(), frame.Message{Data: []byte(text)}); err != nil {
		d.t.Fatal(err)
	}
}

func TestSendIsStoredAcknowledgedAndPublished(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		receive(d, `{"message":"hi","client_message_id":"a"}`)
		receive(d, `{"message":"other words","client_message_id":"a"}`) // too long: refused before it is found to be a repeat
		receive(d, `{"message":"hi again","client_message_id":"a"}`)
		d.want("ack 1", "error too_long a", "ack 1")
		if len(d.stored) != 1 || len(d.published) != 2 {
			t.Fatalf("%d stored, %d published: a repeat is one message, published again", len(d.stored), len(d.published))
		}
		d.s.deliver(asEvent(d.published[0]))
		d.s.deliver(asEvent(d.published[1]))
		d.want("1")
	})
}

func TestNothingIsAcknowledgedThatIsNotCommitted(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		d.set(func() { d.failWrite = errors.Join(room.ErrUnavailable, room.ErrOutcomeUnknown) })
		receive(d, `{"message":"hi","client_message_id":"a"}`)
		d.want("error database_unavailable a")
		if len(d.published) != 0 {
			t.Fatal("published what may not be stored")
		}
		select {
		case <-d.chat.sweepNow:
		default:
			t.Fatal("nobody looks whether it was stored after all")
		}
	})
}

func TestStoredMessageThatRedisDoesNotTakeIsLookedFor(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		d.set(func() { d.down = room.ErrUnavailable })
		receive(d, `{"message":"hi"}`)
		d.want("ack 1")
		select {
		case <-d.chat.sweepNow:
		default:
			t.Fatal("the failed publish raised no doubt")
		}
	})
}

func TestFloodWithoutReadingEndsTheSocket(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		for range 100_000 {
			if err := d.s.Receive(d.t.Context(), frame.Message{Data: []byte(`{"type":"nonsense"}`)}); err != nil {
				if c, ok := errors.AsType[*frame.Close](err); !ok || c.Reason != "slow_consumer" {
					t.Fatal(err)
				}
				return
			}
		}
		t.Fatal("answers pile up without bound")
	})
}
