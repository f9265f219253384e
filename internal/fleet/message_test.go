package fleet

import (
	"log/slog"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/event"
)

// newTestFleet returns a fleet with handlers of two kinds, and the log of what they got.
func newTestFleet() (f *Fleet, got *[]string) {
	f, got = New("a", event.ProcessID{}, nil, nil, nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry()), new([]string)
	Handle(f, func(sender event.ProcessID, l event.Load) {
		*got = append(*got, "load "+sender.String()[:2]+string(rune('0'+l.Sockets)))
	},
		func() { *got = append(*got, "load missed") })
	Handle(f, func(event.ProcessID, event.Revocation) { *got = append(*got, "revocation") },
		func() { *got = append(*got, "revocation missed") })
	return f, got
}

func TestEventsReachTheHandlerOfTheirKind(t *testing.T) {
	t.Parallel()
	both := []string{"load missed", "revocation missed"}
	for name, c := range map[string]struct {
		kind event.Kind
		body string
		want []string
	}{
		"an event":                   {event.KindLoad, `{"sockets":1}`, []string{"load 0a1"}},
		"another kind":               {event.KindRevocation, `{}`, []string{"revocation"}},
		"a heartbeat":                {event.KindHeartbeat, `{}`, nil},
		"a kind of other groups":     {event.KindMessage, `{}`, both},
		"a body that cannot be read": {event.KindLoad, `{"sockets":"one"}`, []string{"load missed"}},
	} {
		f, got := newTestFleet()
		sender := event.ProcessID{10}
		f.receive(event.Event{Kind: c.kind, Sender: sender, Counter: 1, Body: []byte(c.body)})
		slices.Sort(*got)
		if !slices.Equal(*got, c.want) {
			t.Errorf("%s: the handlers got %q, want %q", name, *got, c.want)
		}
		if expires := c.kind == event.KindLoad || c.kind == event.KindHeartbeat; f.lastHeard[sender].IsZero() == expires {
			t.Errorf("%s: whether its sender was heard: %v", name, !expires)
		}
	}
}

func TestEventsThatAreSentAgainCountOnce(t *testing.T) {
	t.Parallel()
	f, got := newTestFleet()
	send := func(kind event.Kind, counter uint64) {
		body := `{}`
		if kind == event.KindLoad {
			body = `{"sockets":` + string(rune('0'+counter)) + `}`
		}
		f.receive(event.Event{Kind: kind, Sender: event.ProcessID{10}, Counter: counter, Body: []byte(body)})
	}
	send(event.KindHeartbeat, 3)
	send(event.KindLoad, 2) // kinds may overtake each other
	for _, counter := range []uint64{2, 1, 4, 4, 2} {
		send(event.KindLoad, counter)
	}
	send(event.KindRevocation, 1) // nobody trusts it, so it counts each time
	send(event.KindRevocation, 1)
	if want := []string{"load 0a2", "load 0a4", "revocation", "revocation"}; !slices.Equal(*got, want) {
		t.Errorf("the handlers got %q, want %q", *got, want)
	}
	last := f.lastHeard[event.ProcessID{10}]
	send(event.KindHeartbeat, 3)
	if !f.lastHeard[event.ProcessID{10}].Equal(last) {
		t.Error("a copy counts as a sign of life")
	}
}

func TestHandlersAreToldWhatTheLayerMissed(t *testing.T) {
	t.Parallel()
	f, got := newTestFleet()
	f.missed(false)
	slices.Sort(*got)
	if want := []string{"load missed", "revocation missed"}; !slices.Equal(*got, want) {
		t.Errorf("they got %q, want %q", *got, want)
	}
}
