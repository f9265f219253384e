package chat

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

func TestLiveMessagesComeInOrderAndOnce(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		d.say(3)
		d.hear(1, 2, 2, 1, 3)
		d.want("1", "2", "3")
		if d.reads != 0 {
			t.Fatalf("the store was read %d times for nothing", d.reads)
		}
	})
}

func TestSmallHoleIsGivenTimeToClose(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		d.say(3)
		d.hear(1, 3)
		d.want("1")
		time.Sleep(holeWait / 2) // of the bubble's clock
		d.hear(2)
		d.want("2", "3")
		if d.reads != 0 {
			t.Fatal("the store was asked although the message was on its way")
		}
	})
}

func TestHoleThatStaysIsFilledFromTheStore(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		d.say(4)
		d.hear(1, 4)
		d.want("1")
		woken := d.woken
		time.Sleep(holeWait + time.Millisecond)
		synctest.Wait()
		if d.woken == woken {
			t.Fatal("nobody looks again")
		}
		d.want("2", "3", "4")
		d.hear(2, 3) // late
		d.want()
	})
}

func TestManyMessagesBehindAHoleEndTheWait(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		d.say(20)
		for seq := range int64(holeFrames) {
			d.hear(seq + 2)
		}
		if got := d.next(); got != "1" {
			t.Fatalf("got %q", got)
		}
	})
}

func TestStoreThatFailsIsAskedAgainWithGrowingPauses(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		d.set(func() { d.failRead = room.ErrUnavailable })
		d.say(2)
		d.hear(2)
		began := time.Now()
		for time.Since(began) < time.Minute {
			d.want()
			time.Sleep(20 * time.Millisecond)
		}
		if d.reads < 10 || d.reads > 60 {
			t.Fatalf("asked %d times in a minute", d.reads)
		}
		d.set(func() { d.failRead = nil })
		time.Sleep(maxRetry)
		d.want("1", "2")
	})
}

func TestNothingComesThroughASideDoor(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		d.set(func() { d.down = errors.New("redis is away") })
		d.say(3)
		d.s.catchUp(3)
		time.Sleep(time.Minute)
		d.want()
		if d.reads != 0 {
			t.Fatal("the store was read while Redis was away")
		}
		d.set(func() { d.down = nil })
		d.s.missed(false)
		d.want("1", "2", "3")
	})
}

func TestResume(t *testing.T) {
	for name, c := range map[string]struct {
		before int
		since  int64
		want   []string
	}{
		"from the beginning":           {3, 0, []string{"1", "2", "3", "resumed 1-3"}},
		"from the middle":              {3, 2, []string{"3", "resumed 3-3"}},
		"with nothing missed":          {3, 3, []string{"resumed 4-3"}},
		"of an empty conversation":     {0, 0, []string{"resumed 1-0"}},
		"beyond what the store has":    {3, 9, []string{"resumed 4-3 reset=true"}},
		"of more than a page of store": {maxRows + 1, maxRows - 1, []string{fmt.Sprint(maxRows), fmt.Sprint(maxRows + 1), fmt.Sprintf("resumed %d-%d", maxRows, maxRows+1)}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, c.before, &c.since, func(d *desk) { d.want(c.want...) })
		})
	}
}

func TestAPageOfLongMessagesIsKeptInPart(t *testing.T) {
	since := int64(0)
	inBubble(t, 6, &since, func(d *desk) {
		d.set(func() {
			for i := range d.stored {
				d.stored[i].Text = strings.Repeat("a", replayBytes/2-1)
			}
			d.stored[3].Text = strings.Repeat("a", 2*replayBytes)
		})
		for seq := 1; seq <= 6; seq++ {
			if got := d.next(); got != fmt.Sprint(seq) {
				t.Fatalf("got %q, want %d", got, seq)
			}
			size := 0
			for _, m := range d.s.replay {
				size += len(m.Text)
			}
			if size > replayBytes {
				t.Fatalf("%d bytes are kept after message %d", size, seq)
			}
		}
		d.want("resumed 1-6")
	})
}

func TestLiveMessagesWaitForTheReplay(t *testing.T) {
	since := int64(0)
	inBubble(t, 2, &since, func(d *desk) {
		d.say(2)
		d.hear(4, 3)
		d.want("1", "2", "resumed 1-2", "3", "4")
	})
}

func TestReaderThatIsTooFarBehindHasToResume(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		d.say(maxBehind + 10)
		for seq := range int64(maxBehind + 2) {
			d.hear(seq + 1)
		}
		d.want("close slow_consumer")
	})
}

func TestReaderThatIsTooLateHasToResume(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		d.say(3)
		d.hear(1, 2, 3)
		if got := d.next(); got != "1" {
			t.Fatalf("got %q", got)
		}
		time.Sleep(maxBehindFor + time.Second) // the writer is stuck with the first one
		d.want("close slow_consumer")
	})
}

func TestOutageIsNotTheReadersFault(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		d.set(func() { d.down = errors.New("redis is away") })
		n := 3 * maxBehind
		d.say(n)
		d.s.catchUp(int64(n))
		d.want()
		time.Sleep(time.Hour)
		d.set(func() { d.down = nil })
		d.s.missed(false)
		for seq := range n {
			if got := d.next(); got != fmt.Sprint(seq+1) {
				t.Fatalf("got %q, want %d", got, seq+1)
			}
		}
		d.want()
	})
}
