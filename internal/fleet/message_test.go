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
		f.receive(event.Event{Kind: c.kind, Sender: sender, Body: []byte(c.body)})
		slices.Sort(*got)
		if !slices.Equal(*got, c.want) {
			t.Errorf("%s: the handlers got %q, want %q", name, *got, c.want)
		}
		if f.lastHeard[sender].IsZero() {
			t.Errorf("%s: its sender was not heard", name)
		}
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
