package chat

import (
	"errors"
	"testing"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

func TestAProbeComesBackToItsSenderAndLeavesNothing(t *testing.T) {
	inBubble(t, 3, nil, func(d *desk) {
		peer := d.consumer(&room.User{ID: 2, Role: room.Therapist}, nil)
		if err := errors.Join(peer.Join(d.t.Context()), peer.Open(d.t.Context())); err != nil {
			d.t.Fatal(err)
		}
		defer peer.Closed()
		_, _ = peer.Next(d.t.Context(), true) // connected
		probe := frame.Message{Data: []byte(`{"type":"probe","id":"p-1"}`)}
		if err := d.s.Receive(d.t.Context(), probe); err != nil {
			d.t.Fatal(err)
		}
		if got := d.next(); got != "" {
			d.t.Errorf("%q came before the channel layer had it", got)
		}
		for _, body := range d.published {
			d.s.deliver(asEvent(body))
			peer.deliver(asEvent(body))
		}
		if got := d.next(); got != "probe 0" {
			d.t.Errorf("the sender got %q", got)
		}
		if m, err := peer.Next(d.t.Context(), true); m.Data != nil || err != nil {
			d.t.Errorf("the other side got %s, %v", m.Data, err)
		}
		if len(d.stored) != 3 || d.reads != 0 {
			d.t.Errorf("%d messages, %d reads", len(d.stored), d.reads)
		}

		d.set(func() { d.down = errors.New("away") })
		if err := d.s.Receive(d.t.Context(), probe); err != nil {
			d.t.Fatal(err)
		}
		if got := d.next(); got != "error channel_layer_unavailable" {
			d.t.Errorf("with Redis away: %q", got)
		}
	})
}
