package chat

import (
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/presence"
	"github.com/roomspa/roomspa/internal/room"
)

func (d *desk) drops(class string) int {
	d.t.Helper()
	families, err := d.reg.Gather()
	if err != nil {
		d.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "roomspa_drops_total" && m.GetLabel()[0].GetValue() == class {
				return int(m.GetCounter().GetValue())
			}
		}
	}
	d.t.Fatalf("no class %s", class)
	return 0
}

func (d *desk) types(user room.UserID, active bool) {
	d.s.deliver(asEvent(event.Typing{User: user, Active: active}))
}

func TestHintsWaitUntilNothingElseDoes(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		d.say(3)
		d.hear(3)
		d.types(2, true)
		for _, online := range []bool{true, false, true} {
			d.s.peerChanged(presence.State{Online: online})
		}
		d.want()
		d.hear(1)
		d.want("1")
		d.hear(2)
		d.want("2", "3", "presence 0") // the message ended the typing
		if typing, online := d.drops("typing"), d.drops("presence"); typing != 0 || online != 1 {
			t.Errorf("dropped: %d typing, %d presence", typing, online)
		}
	})
}

func TestOnlyTheNewestHintIsSent(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		d.types(2, false)
		d.types(1, true) // another device of the same user
		d.types(9, true)
		d.want()
		d.types(2, true)
		d.types(2, true)
		d.want("typing 0")
		d.types(2, false)
		d.types(2, true)
		d.types(2, false)
		d.want("typing 0")
		d.types(2, false)
		d.types(2, true)
		d.types(2, false) // before the client has heard of it
		d.want()
		if n := d.drops("typing"); n != 4 {
			t.Errorf("%d dropped", n)
		}
		d.s.peerChanged(presence.State{Online: true})
		d.want("presence 0")
		d.s.peerChanged(presence.State{})
		d.s.peerChanged(presence.State{Online: true})
		d.want() // as the client knows it
	})
}

func TestATypingThatIsTooOldIsNotSent(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		d.types(2, true)
		time.Sleep(frame.TypingExpires + time.Millisecond) // of the bubble's clock
		d.want()
		if n := d.drops("typing"); n != 1 {
			t.Errorf("%d dropped", n)
		}
		d.types(2, true)
		d.want("typing 0")
		time.Sleep(frame.TypingExpires + time.Millisecond)
		d.types(2, false)
		d.want() // the client has forgotten it
	})
}

func TestTypingIsPassedOnTwoSecondsApart(t *testing.T) {
	t.Parallel()
	var all typists
	start := time.Now()
	for i, c := range []struct {
		user   room.UserID
		active bool
		after  time.Duration
		want   bool
	}{
		{1, false, 0, false},
		{1, true, 0, true},
		{1, true, typingInterval - 1, false},
		{2, true, typingInterval - 1, true},
		{1, true, typingInterval, true},
		{1, false, typingInterval, true},
		{1, false, typingInterval, false},
		{1, true, typingInterval + 1, false},
		{1, true, 2 * typingInterval, true},
	} {
		if got := all.pass(typist{user: c.user}, c.active, start.Add(c.after)); got != c.want {
			t.Errorf("step %d: %v", i, got)
		}
	}
}
