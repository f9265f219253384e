package app_test

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/channel"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// An intruder reads and writes the Redis of two replicas, which have open sockets. He has no key of theirs.
type intruder struct {
	*world.World

	a, b   *world.Replica
	redis  *goredis.Client // all that he has
	events *redis.Client   // has the keys: for values of another time, which he might have recorded then
	real   event.Deployment

	chats, locations []*world.Socket // of the customer on a and of the therapist on b
	others           []*world.Socket // of another room: chat and location
	seq              int64           // of the last message
	began            time.Time
}

func newIntruder(t *testing.T, edit ...func(*app.Options)) *intruder {
	t.Helper()
	x := &intruder{World: world.New(t)}
	x.a, x.b = x.Pair(t, append(edit, world.NoRateLimit)...)
	x.redis, x.events = x.RedisClient(t), x.OpenRedis(t)
	x.real = x.events.Ring().Deployment
	x.chats = []*world.Socket{x.a.Chat(t, world.Customer), x.b.Chat(t, world.Therapist)}
	x.locations = []*world.Socket{x.a.Location(t, world.Customer), x.b.Location(t, world.Therapist)}
	for _, path := range []string{"/ws/chat/3/4/", "/ws/location/3/4/"} {
		s := x.a.ConnectAs(t, world.OtherCustomer, path, nil)
		s.Expect(t, "connected")
		x.others = append(x.others, s)
	}
	x.began = time.Now()
	return x
}

var chatGroup, locationGroup = room.Room{Customer: 1, Therapist: 2}.Group("chat"), room.Room{Customer: 1, Therapist: 2}.Group("location")

func (x *intruder) channel(group string) string {
	return redis.Name(x.RedisPrefix, x.real.ID, group)
}

// deployment returns what the intruder can make of what he sees: the names are right, and the key is his own.
func (x *intruder) deployment(key event.KeyID) event.Deployment {
	d := event.Deployment{ID: x.real.ID, Timeline: x.real.Timeline, Keys: []event.Key{{ID: key}}}
	_, _ = rand.Read(d.Keys[0].Secret[:])
	return d
}

func sealer(d event.Deployment) *event.Ring {
	p := event.NewProcess()
	p.Use(d)
	return p.Ring()
}

// A published event is what the intruder has heard, or what he sends.
type published struct{ channel, payload string }

func (p published) kind() event.Kind { return event.Kind(p.payload[1]) }

// record makes the replicas and a command publish an event of each kind, and returns what the intruder hears.
func (x *intruder) record(t *testing.T) map[event.Kind]published {
	t.Helper()
	heard := map[event.Kind]published{}
	sub := x.redis.PSubscribe(t.Context(), x.RedisPrefix+"*")
	defer func() { _ = sub.Close() }()
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	x.say(t)
	x.move(t)
	x.chats[0].Send(t, `{"type":"probe","id":"p"}`)
	x.chats[0].Expect(t, "probe")
	x.announce(t, event.Revocation{Users: []room.UserID{world.Customer}})
	for len(heard) < 7 {
		m, err := sub.ReceiveMessage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if p := (published{m.Channel, m.Payload}); len(p.payload) > 16 { // else it is the id of the deployment
			heard[p.kind()] = p
		}
	}
	if err := sub.PUnsubscribe(t.Context()); err != nil {
		t.Fatal(err)
	}
	for {
		if m, err := sub.Receive(t.Context()); err != nil {
			t.Fatal(err)
		} else if _, ended := m.(*goredis.Subscription); ended {
			return heard
		}
	}
}

// announce publishes an event as a command does.
func (x *intruder) announce(t *testing.T, body event.Body) {
	t.Helper()
	if err := channel.Announce(t.Context(), x.events, "control", body); err != nil {
		t.Fatal(err)
	}
}

// publish sends events, and returns how many replicas got them in total.
func (x *intruder) publish(t *testing.T, all ...published) (receivers int64) {
	t.Helper()
	sent := make([]*goredis.IntCmd, len(all))
	if _, err := x.redis.Pipelined(t.Context(), func(p goredis.Pipeliner) error {
		for i, a := range all {
			sent[i] = p.Publish(t.Context(), a.channel, a.payload)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for i, s := range sent {
		if receivers += s.Val(); s.Val() == 0 {
			t.Fatalf("nobody hears %s", all[i].channel)
		}
	}
	return receivers
}

// publishInVain publishes events, each of which every replica that hears it must drop.
func (x *intruder) publishInVain(t *testing.T, all ...published) {
	t.Helper()
	before := x.sum(t, "roomspa_events_dropped_total")
	want := before + float64(x.publish(t, all...))
	world.Eventually(t, "all that was sent is dropped", func() (bool, any) {
		got := x.sum(t, "roomspa_events_dropped_total")
		return got >= want, fmt.Sprintf("%v of %v", got-before, want-before) // more: a replica that had not yet seen the new timeline
	})
}

// say sends messages, which must be the next frames of every chat socket, beside their acks for the sender.
func (x *intruder) say(t *testing.T) { x.sayWhile(t, 1, func() {}) }

func (x *intruder) sayWhile(t *testing.T, n int, do func()) {
	t.Helper()
	for range n {
		x.chats[1].Say(t, "a text", rand.Text())
	}
	do()
	for messages, acks := x.seq, 0; messages < x.seq+int64(n) || acks < n; {
		switch f := x.chats[1].Next(t); {
		case f.Type == "chat_message" && f.Seq == messages+1:
			messages++
		case f.IsReceipt():
		case f.Type == "ack":
			acks++
		default:
			t.Fatalf("after message %d came %s", messages, f.Raw)
		}
	}
	x.chats[0].ExpectMessages(t, x.seq, n)
	x.seq += int64(n)
}

// move sends a position, which must be the next frame of every location socket.
func (x *intruder) move(t *testing.T) {
	t.Helper()
	at := time.Since(x.began).Seconds() / 1000
	x.locations[1].Send(t, fmt.Sprintf(`{"latitude":%v,"longitude":1}`, at))
	for _, s := range x.locations {
		if f := s.Expect(t, "location_update"); *f.Latitude != at {
			t.Errorf("got the position %s, want the latitude %v", f.Raw, at)
		}
	}
}
