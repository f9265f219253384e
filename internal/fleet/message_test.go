package fleet

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type body struct {
	N int `json:"n"`
}

// newTestFleet returns a fleet with the kinds a and b, and the log of what their
// handlers got.
func newTestFleet() (f *Fleet, got *[]string) {
	f, got = New("a", nil, nil, nil, slog.New(slog.DiscardHandler), prometheus.NewRegistry()), new([]string)
	for _, kind := range []string{"a", "b"} {
		Handle(f, kind, func(sender string, b body) { *got = append(*got, kind+" "+sender+" "+string(rune('0'+b.N))) },
			func() { *got = append(*got, kind+" missed") })
	}
	return f, got
}

func TestMessagesReachTheHandlerOfTheirKind(t *testing.T) {
	t.Parallel()
	both := []string{"a missed", "b missed"}
	for name, c := range map[string]struct {
		payload string
		want    []string
		heard   string
	}{
		"a message":                      {string(pack("a", "x", body{1})), []string{"a x 1"}, "x"},
		"another kind":                   {string(pack("b", "x", body{2})), []string{"b x 2"}, "x"},
		"a command's":                    {string(pack("a", "", body{1})), []string{"a  1"}, ""},
		"a heartbeat":                    {string(pack(heartbeat, "x", struct{}{})), nil, "x"},
		"a kind of a newer release":      {string(pack("c", "x", body{1})), both, "x"},
		"an envelope of a newer release": {`{"v":2,"kind":"a","sender":"x","body":{"n":1}}`, both, "x"},
		"a body that cannot be read":     {`{"v":1,"kind":"a","sender":"x","body":{"n":"one"}}`, []string{"a missed"}, "x"},
		"no body":                        {`{"v":1,"kind":"a","sender":"x"}`, []string{"a missed"}, "x"},
		"no kind":                        {`{"v":1}`, both, ""},
		"no envelope":                    {`nonsense`, both, ""},
		"nothing":                        {``, both, ""},
	} {
		f, got := newTestFleet()
		f.receive([]byte(c.payload))
		slices.Sort(*got)
		if !slices.Equal(*got, c.want) {
			t.Errorf("%s: the handlers got %q, want %q", name, *got, c.want)
		}
		if _, heard := f.lastHeard[c.heard]; heard != (c.heard != "") {
			t.Errorf("%s: heard %v, want %q", name, f.lastHeard, c.heard)
		}
	}
}

func TestHandlersAreToldWhatTheLayerMissed(t *testing.T) {
	t.Parallel()
	f, got := newTestFleet()
	f.missed()
	slices.Sort(*got)
	if want := []string{"a missed", "b missed"}; !slices.Equal(*got, want) {
		t.Errorf("they got %q, want %q", *got, want)
	}
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte(`{"v":1,"kind":"a","sender":"x","body":{"n":1}}`))
	f.Add([]byte(`{"v":2,"kind":"z","body":null}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		fleet, got := newTestFleet()
		began := time.Now()
		fleet.receive(payload)
		if len(*got) > 2 {
			t.Errorf("%q reached %q", payload, *got)
		}
		for id, at := range fleet.lastHeard {
			if id == "" || at.Before(began) {
				t.Errorf("%q was heard from %q at %v", payload, id, at)
			}
		}
	})
}
