package app_test

import (
	"bytes"
	mathrand "math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// bodies has one body of each kind, as an intruder would like to have them believed.
var bodies = []event.Body{
	event.Message{Seq: 1000, Sender: world.Customer, Frame: []byte(`{"type":"chat_message"}`)},
	event.Probe{User: world.Customer, Frame: []byte(`{"type":"probe"}`)},
	event.Position{User: world.Therapist, Frame: []byte(`{"type":"location_update"}`)},
	event.Heartbeat{},
	event.Load{Sockets: 1_000_000, Draining: true},
	event.Revocation{Users: []room.UserID{world.Customer, world.Therapist}},
	event.Echo{Seq: 1 << 40, Sent: time.Hour},
	event.Ticket{User: world.Support, Expires: time.Now().Add(time.Hour), Ends: time.Now().Add(time.Hour)},
	event.Story(`{"v":1}`),
	event.Failure(`{"v":1}`),
}

func TestIntruderForgesEvents(t *testing.T) {
	t.Parallel()
	x := newIntruder(t)
	recorded := x.record(t)
	channels := map[string]bool{x.channel("chat_3_4"): true, x.channel("location_3_4"): true}
	for _, p := range recorded {
		channels[p.channel] = true
	}
	if len(channels) != 6 { // chat, location, control and an echo
		t.Fatalf("the channels are %v", channels)
	}
	realKey := event.KeyID([]byte(recorded[event.KindMessage].payload[2:6]))
	for name, attempts := range map[string]func(*testing.T) []published{
		"with his own key":                  func(*testing.T) []published { return x.forge(channels, event.KeyID{1, 2, 3, 4}) },
		"with his own key under a known id": func(*testing.T) []published { return x.forge(channels, realKey) },
		"with one bit of an event changed":  func(*testing.T) []published { return change(recorded) },
		"with an event of another channel":  func(*testing.T) []published { return copies(recorded, channels) },
		"with an event of his own timeline": func(*testing.T) []published { return x.rename(channels, func(d *event.Deployment) { d.Timeline++ }) },
		"with an event of his own namespace": func(*testing.T) []published {
			return x.rename(channels, func(d *event.Deployment) { d.ID = "0123456789abcdef" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			x.expectNoEffect(t, func() { x.publishInVain(t, attempts(t)...) })
		})
	}
}

// forge seals an event of each kind for each channel.
func (x *intruder) forge(channels map[string]bool, key event.KeyID) (all []published) {
	ring := sealer(x.deployment(key))
	for name := range channels {
		for _, body := range bodies {
			all = append(all, published{name, string(ring.Seal(nil, name, time.Now(), body))})
		}
	}
	return all
}

// rename seals events with the keys of the deployment, but not as one of its replicas would.
func (x *intruder) rename(channels map[string]bool, edit func(*event.Deployment)) (all []published) {
	d := x.real
	edit(&d)
	ring := sealer(d)
	for name := range channels {
		for _, body := range bodies {
			all = append(all, published{name, string(ring.Seal(nil, name, time.Now(), body))})
		}
	}
	return all
}

// change changes each part of each event: the version, the kind (also to each other one), the key, the process, the counter,
// the time, the body, and the tag; and its length.
func change(recorded map[event.Kind]published) (all []published) {
	for _, p := range recorded {
		add := func(payload []byte) { all = append(all, published{p.channel, string(payload)}) }
		for _, at := range []int{0, 1, 2, 5, 6, 17, 18, 25, 26, 29, 33, 34, len(p.payload) - 17, len(p.payload) - 1} {
			changed := []byte(p.payload)
			changed[at] ^= 1
			add(changed)
		}
		for kind := range byte(12) {
			if changed := []byte(p.payload); changed[1] != kind {
				changed[1] = kind
				add(changed)
			}
		}
		add([]byte(p.payload)[1:])
		add([]byte(p.payload)[:len(p.payload)-1])
		add([]byte(p.payload + "\x00"))
	}
	return all
}

func copies(recorded map[event.Kind]published, channels map[string]bool) (all []published) {
	for _, p := range recorded {
		for name := range channels {
			if name != p.channel {
				all = append(all, published{name, p.payload})
			}
		}
	}
	return all
}

func TestIntruderFloodsGarbage(t *testing.T) {
	t.Parallel()
	x := newIntruder(t)
	began := time.Now()
	recorded := x.record(t)
	names := []string{x.channel(chatGroup), x.channel(locationGroup), x.channel("control")}
	x.expectNoEffect(t, func() {
		for range 20 {
			var batch []published
			for i := range 500 {
				batch = append(batch, published{names[i%len(names)], garbage(recorded[event.KindMessage].payload)})
			}
			x.sayWhile(t, 5, func() { x.publishInVain(t, batch...) })
		}
	})
	for _, r := range []*world.Replica{x.a, x.b} {
		lines := strings.Count(r.Log.String(), "Dropped events")
		if most := 1 + int(time.Since(began)/time.Minute); lines < 1 || lines > most {
			t.Errorf("%d log lines about dropped events, want 1 to %d", lines, most)
		}
	}
}

// garbage returns a payload of a random shape. Some have the header of a real event, with its key and another process.
func garbage(like string) string {
	random := make([]byte, mathrand.N(300))
	for i := range random {
		random[i] = byte(mathrand.N(256))
	}
	switch mathrand.N(4) {
	case 0:
		return string(random)
	case 1:
		return `{"type":"chat_message","message":"` + string(bytes.ToValidUTF8(random, nil)) + `"}`
	case 2:
		return like[:34] + string(random)
	default:
		process := make([]byte, 12)
		for i := range process {
			process[i] = byte(mathrand.N(256))
		}
		return like[:6] + string(process) + like[18:]
	}
}
