package chat

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/room"
)

// announce delivers a receipt over the channel layer.
func (d *desk) announce(user room.UserID, delivered, read int64) {
	d.s.deliver(asEvent(event.Receipt{Conversation: d.id, User: user, Cursor: room.Cursor{Delivered: delivered, Read: read}}))
}

// wantMarks compares the marks since the last call.
func (d *desk) wantMarks(want ...string) {
	d.t.Helper()
	var got []string
	d.set(func() { got, d.marks = d.marks, nil })
	if !slices.Equal(got, want) {
		d.t.Fatalf("marked %q, want %q", got, want)
	}
}

func TestReceiptsAreToldOnceAndOnlyIfTheyGrow(t *testing.T) {
	inBubble(t, 5, nil, func(d *desk) {
		d.announce(2, 3, 0)
		d.announce(2, 2, 0) // late
		d.announce(2, 3, 0)
		d.want("delivered 3")
		d.announce(2, 4, 0)
		d.announce(2, 5, 4)
		d.want("read 4", "delivered 5")
		d.announce(2, 5, 5) // read implies delivered
		d.announce(1, 5, 5) // of this user's other device
		d.want("read 5", "read 5")
		d.announce(3, 5, 5) // of nobody in the room
		d.want()
	})
}

func TestReceiptsOfAnotherConversationAreIgnored(t *testing.T) {
	inBubble(t, 5, nil, func(d *desk) {
		d.s.deliver(asEvent(event.Receipt{Conversation: room.ID{9}, User: 2, Cursor: room.Cursor{Delivered: 5}}))
		d.want()
	})
}

func TestMessagesGoBeforeReceipts(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		d.say(2)
		d.announce(2, 2, 2)
		d.hear(1, 2)
		d.want("1", "2", "read 2")
	})
}

func TestALostReceiptIsFoundByASweep(t *testing.T) {
	for _, window := range []time.Duration{sweepOverlap, 2 * maxSweepWindow} {
		t.Run(window.String(), func(t *testing.T) {
			inBubble(t, 5, nil, func(d *desk) {
				d.set(func() { d.cursors[2] = room.Cursor{Delivered: 4, Read: 3} })
				if !d.chat.sweep(d.t.Context(), window) {
					t.Fatal("the sweep failed")
				}
				d.want("read 3", "delivered 4")
			})
		})
	}
}

func TestAReceiptIsMarked(t *testing.T) {
	inBubble(t, 5, nil, func(d *desk) {
		receive(d, `{"type":"delivered","seq":4}`)
		receive(d, `{"type":"read","seq":3}`)
		d.wantMarks("1: 4 0", "1: 3 3")
		d.announce(1, 4, 3)
		receive(d, `{"type":"read","seq":3}`) // known
		receive(d, `{"type":"delivered","seq":1}`)
		d.wantMarks()
		d.want("read 3", "delivered 4")
	})
}

func TestAReceiptBeyondWhatTheSocketKnowsIsForTheStoreToDecide(t *testing.T) {
	inBubble(t, 5, nil, func(d *desk) {
		receive(d, `{"type":"read","seq":6}`)
		d.want("error out_of_range")
		d.say(1) // not heard yet
		receive(d, `{"type":"read","seq":6}`)
		d.want()
		if got := d.cursors[1]; got.Read != 6 {
			t.Errorf("the cursor is %+v", got)
		}
		d.set(func() { d.failWrite = room.ErrUnavailable })
		d.say(1)
		receive(d, `{"type":"delivered","seq":7}`)
		d.want("error database_unavailable")
	})
}

func TestSendingIsReadingWhatThisSocketWasSent(t *testing.T) {
	inBubble(t, 5, nil, func(d *desk) {
		receive(d, `{"message":"a"}`) // 6: this socket was sent nothing yet
		d.wantMarks()
		d.say(2) // 7, 8
		d.hear(6, 7)
		d.want("ack 6", "6", "7")
		receive(d, `{"message":"b"}`) // 9
		d.wantMarks("1: 0 7")
		receive(d, `{"message":"c"}`) // 10
		d.wantMarks()
		d.hear(8, 9)
		d.want("ack 9", "ack 10", "8", "9")
		d.announce(1, 9, 9) // read on another device
		d.want("read 9")
		receive(d, `{"message":"d"}`)
		d.wantMarks()
	})
}

func TestManyOwnMessagesAreMarkedToo(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		for n := int64(1); n <= maxUnmarked+2; n++ {
			receive(d, `{"message":"a"}`)
			d.hear(n)
			for d.next() != "" {
			}
		}
		d.wantMarks(fmt.Sprintf("1: 0 %d", maxUnmarked+1))
	})
}

func TestAPageOfHistoryIsReadByAnswering(t *testing.T) {
	inBubble(t, 5, nil, func(d *desk) {
		receive(d, `{"type":"history"}`)
		d.want("history 0")
		receive(d, `{"message":"a"}`)
		d.wantMarks("1: 0 5")
	})
}

func TestAResetForgetsReceipts(t *testing.T) {
	inBubble(t, 5, nil, func(d *desk) {
		d.announce(2, 5, 5)
		d.want("read 5")
		d.set(func() { d.cursors[1] = room.Cursor{Delivered: 2, Read: 1} })
		d.restore(2)
		d.s.missed(true)
		if d.dropped != 1 {
			t.Errorf("waiting marks were dropped %d times", d.dropped)
		}
		receive(d, `{"type":"read","seq":2}`) // the client means the 2 of before
		d.wantMarks()
		d.want("resumed 3-2 reset=true", "read 1", "delivered 2")
		receive(d, `{"type":"read","seq":2}`)
		d.wantMarks("1: 2 2")
		receive(d, `{"message":"a"}`)
		d.wantMarks()
	})
}

// The receipts that wait are dropped once. A mark that follows must not be one of before.
func TestNothingIsMarkedDuringAReset(t *testing.T) {
	inBubble(t, 5, nil, func(d *desk) {
		d.restore(2)
		d.onReset = func() { receive(d, `{"type":"read","seq":2}`) } // the client means the 2 of before
		d.s.missed(true)
		d.wantMarks()
	})
}

func TestAMessageThatWaitsDuringAResetMarksNothing(t *testing.T) {
	inBubble(t, 5, nil, func(d *desk) {
		receive(d, `{"type":"history"}`)
		d.want("history 0")
		d.onAppend = func() { d.s.missed(true) }
		receive(d, `{"message":"a"}`)
		d.wantMarks()
	})
}

func TestSupportSendsNoReceiptsAndHearsThem(t *testing.T) {
	inBubble(t, 5, nil, func(d *desk) {
		s := d.consumer(&room.User{ID: 9, Role: room.Support}, nil)
		if err := s.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		first := d.s
		defer first.Closed()
		d.s = s
		d.want("connected 5")
		receive(d, `{"type":"read","seq":1}`)
		d.want("error wrong_role")
		d.wantMarks()
		d.announce(1, 5, 5)
		d.want("read 5")
	})
}
