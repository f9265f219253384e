package chat

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// TestMessagesCarryWhatAnotherFormNeeds looks at a message from the store and at one from the
// channel layer.
func TestMessagesCarryWhatAnotherFormNeeds(t *testing.T) {
	since := int64(0)
	inBubble(t, 1, &since, func(d *desk) {
		take := func(seq int64) {
			t.Helper()
			m, err := d.take()
			if text := string(m.Data); err != nil || !strings.Contains(text, fmt.Sprintf(`"seq":%d,`, seq)) {
				t.Errorf("%s, %v", text, err)
			}
			if m.Data = nil; fmt.Sprint(m) != fmt.Sprint(frame.Message{Seq: seq, Number: 100 + seq, Sender: 2, At: seq * 1e6}) {
				t.Errorf("message %d: %+v", seq, m)
			}
		}
		take(1)
		if m, err := d.take(); err != nil || fmt.Sprint(frame.Message{Data: m.Data}) != fmt.Sprint(m) || !strings.Contains(string(m.Data), "resumed") {
			t.Errorf("the frame between is %s with %+v, %v", m.Data, m, err)
		}
		reads := d.reads
		d.say(1)
		d.hear(2)
		take(2)
		if d.reads != reads {
			t.Error("the second message came from the store")
		}
	})
}

// The release before publishes messages without their number.
func TestAMessageWithoutNumberIsReadFromTheStore(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		unnumbered := func(seq int64) event.Event {
			return asEvent(event.Unnumbered{Seq: seq, Sender: 2, Frame: []byte(`{"type":"not this"}`)})
		}
		d.say(3)
		d.s.deliver(unnumbered(1))
		d.want("1", "2", "3")
		reads := d.reads
		d.s.deliver(unnumbered(3))
		d.want()
		if d.reads != reads {
			t.Error("the store was read for a message that was sent before")
		}
		d.say(2)
		d.hear(5)
		d.s.deliver(unnumbered(5)) // a duplicate of the other kind
		d.s.deliver(unnumbered(4))
		d.want("4", "5")
		d.say(1)
		old := unnumbered(6)
		old.At = old.At.Add(-maxMessageAge - time.Second)
		d.s.deliver(old)
		select {
		case <-d.chat.sweepNow:
		default:
			t.Error("an old event requests no sweep")
		}
		d.want()
	})
}

func TestSendAnswersNothingAndMovesNoCursor(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		d.say(1)
		d.hear(1)
		d.want("1") // a frame of the client would mark it as read
		send := func(text string) error {
			return d.s.Send(t.Context(), room.Draft{Text: text, ClientMessageID: "a"})
		}
		if err := errors.Join(send("longer than ten characters"), send("again")); err != nil {
			t.Fatal(err)
		}
		d.want()
		if len(d.stored) != 2 || len(d.published) != 2 || len(d.marks) != 0 {
			t.Fatalf("%d stored, %d published, marks %q", len(d.stored), len(d.published), d.marks)
		}
		if m := d.stored[1]; m.Sender != 1 || m.SenderRole != room.Customer || m.Text != "longer than ten characters" {
			t.Errorf("stored %+v", m)
		}
		d.s.deliver(asEvent(d.published[0]))
		d.want("2")
	})
}

func TestSendSaysWhatBecameOfTheMessage(t *testing.T) {
	inBubble(t, 0, nil, func(d *desk) {
		send := func(draft room.Draft) string {
			err := d.s.Send(t.Context(), draft)
			if bad, ok := errors.AsType[*room.Invalid](err); ok {
				return bad.Code
			}
			if c, ok := errors.AsType[*frame.Close](err); ok {
				return "close " + c.Reason
			}
			return fmt.Sprint(err)
		}
		want := func(what, want string, draft room.Draft) {
			t.Helper()
			if got := send(draft); got != want {
				t.Errorf("%s: %s, want %s", what, got, want)
			}
		}
		good := room.Draft{Text: "hi"}
		want("an empty text", "empty_message", room.Draft{Text: " \n"})
		want("a type of the server", "out_of_range", room.Draft{Text: "hi", Type: room.TypeSystem})
		for _, c := range []struct {
			fails error
			want  string
		}{
			{fmt.Errorf("x: %w", room.ErrUnavailable), "database_unavailable"},
			{errors.New("x"), "internal"},
			{room.ErrErased, "close user_inactive"},
			{nil, "<nil>"},
		} {
			d.set(func() { d.failWrite = c.fails })
			want(fmt.Sprint(c.fails), c.want, good)
		}
		d.set(func() { d.id = room.ID{9} }) // as after the database was replaced
		want("an unknown conversation", "database_unavailable", good)
		d.want("resumed 2-1 reset=true")
		want("the conversation in its place", "<nil>", good)
		d.s.role = room.Support
		want("support", "wrong_role", good)
	})
}
