package chat_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

// nested returns an object in an object in an object, so many levels deep.
func nested(levels int) string {
	return strings.Repeat(`{"a":`, levels-1) + "{}" + strings.Repeat("}", levels-1)
}

// TestTypesPassThrough compares what arrives with what the history and a replay have.
func TestTypesPassThrough(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Ready(t, "a"), w.Ready(t, "b")
	sender, receiver := a.ConnectAs(t, world.Customer, "/ws/chat/1/2/", nil), b.ConnectAs(t, world.Therapist, "/ws/chat/1/2/", nil)
	sender.Expect(t, "connected")
	receiver.Expect(t, "connected")
	for i, c := range []struct{ sent, arrives string }{
		{`{"message":"0"}`, `"message":"0","message_type":"text","timestamp"`},
		{`{"message":"1","message_type":"text"}`, `"message":"1","message_type":"text","timestamp"`},
		{`{"message":"2","message_type":"image","metadata":{ "width": 800, "n":1.00 }}`, `"message":"2","message_type":"image","metadata":{"width":800,"n":1.00},"timestamp"`},
		{`{"message":"3","metadata":{"caption":"</script> \u00e9"},"message_type":"location"}`, `"message":"3","message_type":"location","metadata":{"caption":"</script> \u00e9"},"timestamp"`},
		{`{"message":"4","message_type":"x-later/1.0","metadata":` + nested(16) + `}`, `"message":"4","message_type":"x-later/1.0","metadata":` + nested(16) + `,"timestamp"`},
		{`{"message":"5","message_type":"","metadata":null}`, `"message":"5","message_type":"text","timestamp"`},
		{`{"message":"6","message_type":"file","metadata":{}}`, `"message":"6","message_type":"file","metadata":{},"timestamp"`},
	} {
		sender.Send(t, c.sent)
		want := receiver.Expect(t, "chat_message").Raw
		if !strings.Contains(want, c.arrives) {
			t.Errorf("%s arrives as %s", c.sent, want)
		}
		receiver.Send(t, `{"type":"history","limit":1}`)
		if page := receiver.Expect(t, "history"); !strings.Contains(page.Raw, want) {
			t.Errorf("the history has %s, want %s", page.Raw, want)
		}
		again := b.ConnectAs(t, world.Therapist, "/ws/chat/1/2/", url.Values{"since": {fmt.Sprint(i)}})
		again.Expect(t, "connected")
		if replayed := again.Expect(t, "chat_message").Raw; replayed != want {
			t.Errorf("the replay has %s, want %s", replayed, want)
		}
	}
}

// TestARepeatThatDiffers changes one thing at a time.
func TestARepeatThatDiffers(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a")
	s := r.ConnectAs(t, world.Customer, "/ws/chat/1/2/", nil)
	s.Expect(t, "connected")
	const first = `{"client_message_id":"m-1","message":"a photo","message_type":"image","metadata":{"width":800}}`
	s.Send(t, first)
	s.Find(t, "ack")
	for name, c := range map[string]struct {
		frame   string
		differs bool
	}{
		"the same":       {first, false},
		"white space":    {strings.ReplaceAll(first, ":", " : "), false},
		"another text":   {strings.ReplaceAll(first, "a photo", "secret words"), true},
		"another type":   {strings.ReplaceAll(first, "image", "file"), true},
		"no metadata":    {strings.ReplaceAll(first, `,"metadata":{"width":800}`, ""), true},
		"other metadata": {strings.ReplaceAll(first, "800", "801"), true},
		"no type":        {strings.ReplaceAll(first, `"message_type":"image",`, ""), true},
	} {
		s.Send(t, c.frame)
		ack := s.Find(t, "ack")
		if !ack.Duplicate || ack.Seq != 1 || strings.Contains(ack.Raw, `"differs":true`) != c.differs {
			t.Errorf("%s: %s", name, ack.Raw)
		}
	}
	log := r.Log.About(s.Ref())
	if n := strings.Count(log, "Message repeated with other content, the first one stands: "); n != 5 || strings.Contains(log, "secret") {
		t.Errorf("%d warnings, want 5, none with a text:\n%s", n, log)
	}
}
