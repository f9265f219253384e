package chat

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspa/roomspa/internal/budget"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// history takes a page of history, which must be next, and returns its size.
func (d *desk) history() int {
	d.t.Helper()
	m, err := d.take()
	if err != nil || !strings.HasPrefix(string(m.Data), `{"type":"history"`) {
		d.t.Fatalf("got %.100s, %v", m.Data, err)
	}
	return len(m.Data)
}

// long makes the stored messages long.
func (d *desk) long(size int) {
	d.set(func() {
		for i := range d.stored {
			d.stored[i].Text = strings.Repeat("a", size)
		}
	})
}

func TestPagesAreReadOneAfterTheOther(t *testing.T) {
	inBubble(t, 200, nil, func(d *desk) {
		d.long(4000)
		for range 5 {
			receive(d, `{"type":"history","limit":200}`)
		}
		for n := 1; n <= 5; n++ {
			if size := d.history(); size > frame.MaxPage || size < frame.MaxPage-5000 {
				t.Fatalf("a page has %d bytes", size)
			}
			synctest.Wait()
			if d.pages != n {
				t.Fatalf("%d pages are read and %d sent", d.pages, n)
			}
			d.say(1) // a client that asks for pages gets what is said meanwhile
			d.hear(int64(200 + n))
			d.want1(fmt.Sprint(200 + n))
		}
		d.want()
	})
}

// want1 takes one frame, and compares.
func (d *desk) want1(frame string) {
	d.t.Helper()
	if got := d.next(); got != frame {
		d.t.Fatalf("got %q, want %q", got, frame)
	}
}

func TestPagesAndTheReplayTakeTurns(t *testing.T) {
	since := int64(0)
	inBubble(t, 20, &since, func(d *desk) {
		d.long(replayBytes / 2)
		for range 3 {
			receive(d, `{"type":"history","limit":2}`)
		}
		d.want("history 0", "1", "2", "history 0", "3", "4", "history 0", "5", "6", "7", "8", "9", "10",
			"11", "12", "13", "14", "15", "16", "17", "18", "19", "20", "resumed 1-20")
	})
}

func TestManyRequestsForPagesHoldTheClientBack(t *testing.T) {
	inBubble(t, 3, nil, func(d *desk) {
		for n := range maxAsked {
			if !d.s.Ready() {
				t.Fatalf("held back after %d requests", n)
			}
			receive(d, `{"type":"history"}`)
		}
		if d.s.Ready() {
			t.Fatal("not held back")
		}
		d.history()
		d.history()
		if !d.s.Ready() {
			t.Fatal("held back although there is room")
		}
	})
}

func TestAFailedPageIsAnErrorAndTheNextOneGoesOn(t *testing.T) {
	inBubble(t, 3, nil, func(d *desk) {
		d.set(func() { d.failRead = room.ErrUnavailable })
		receive(d, `{"type":"history","client_message_id":"x"}`)
		d.want("error database_unavailable x")
		d.set(func() { d.failRead = nil })
		receive(d, `{"type":"history"}`)
		d.want("history 0")
	})
}

func TestTheBudgetPausesReads(t *testing.T) {
	since := int64(0)
	inBubble(t, 60, &since, func(d *desk) {
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
		held := b.Held()
		receive(d, `{"type":"history"}`)
		d.want()
		time.Sleep(time.Hour) //nolint:forbidigo // the bubble's time
		d.want()
		if d.pages+d.reads > 0 || b.Held() != held {
			t.Fatalf("%d reads, %d bytes are taken", d.pages+d.reads, b.Held()-held)
		}
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
		for seq := 1; seq <= 60; seq++ {
			d.want1(fmt.Sprint(seq))
			synctest.Wait()
			if seq > 1 && seq < firstRows && b.Held() == 0 {
				t.Fatal("the replay is not counted")
			}
		}
		d.want("resumed 1-60")
		if b.Held() != 0 {
			t.Errorf("%d bytes are held at the end", b.Held())
		}
	})
}

// TestAReplayReadsAboutARowForEachMessage counts the rows of long messages and of short ones.
func TestAReplayReadsAboutARowForEachMessage(t *testing.T) {
	for name, size := range map[string]int{"short": 100, "long": 12_000, "longer than a page": 2 * replayBytes} {
		t.Run(name, func(t *testing.T) {
			since, n := int64(0), 500
			inBubble(t, n, &since, func(d *desk) {
				d.long(size)
				for seq := 1; seq <= n; seq++ {
					d.want1(fmt.Sprint(seq))
				}
				d.want(fmt.Sprintf("resumed 1-%d", n))
				if d.rows > 2*n+firstRows {
					t.Errorf("%d rows are read for %d messages", d.rows, n)
				}
			})
		})
	}
}

func TestAPanicDuringAReadEndsTheSocket(t *testing.T) {
	inBubble(t, 3, nil, func(d *desk) {
		d.chat.store = &rereading{d, func() { panic("in the store") }}
		d.say(1)
		d.s.catchUp(4)
		if m, err := d.take(); err == nil || !strings.Contains(err.Error(), "in the store") {
			t.Errorf("%s, %v", m.Data, err)
		}
	})
}
