package app_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestIntruderChangesStoredPositions(t *testing.T) {
	t.Parallel()
	x := newIntruder(t)
	recorded := x.record(t)
	own, other := x.channel(room.Room{Customer: 1, Therapist: 2}.Group("position")), x.channel(room.Room{Customer: 3, Therapist: 4}.Group("position"))
	key := own + ":2"
	world.Eventually(t, "the position is stored", func() (bool, any) {
		n, err := x.redis.Exists(t.Context(), key).Result()
		return n == 1, err
	})
	genuine := x.get(t, key)
	forged := event.Position{User: world.Therapist, Frame: []byte(`{"type":"location_update"}`)}
	changed := []byte(genuine)
	changed[len(changed)-20] ^= 1
	for name, c := range map[string]struct{ key, value string }{
		"of another user":          {own + ":1", genuine},
		"of another room":          {other + ":4", genuine},
		"changed":                  {key, string(changed)},
		"sealed with his own key":  {key, ":" + string(sealer(x.deployment(x.real.Keys[0].ID)).Seal(nil, key, time.Now(), forged))},
		"from the channel":         {key, ":" + recorded[event.KindPosition].payload},
		"older than its time":      {key, ":" + x.seal(key, time.Now().Add(-121*time.Second), forged).payload},
		"with a time before it":    {key, "1:" + x.seal(key, time.Now().Add(-121*time.Second), forged).payload},
		"without a sealed event":   {key, "1:"},
		"without a colon":          {key, "text"},
		"of another kind of value": {key, ":" + recorded[event.KindMessage].payload},
	} {
		t.Run(name, func(t *testing.T) {
			x.redis.Del(t.Context(), key)
			x.set(t, c.key, c.value)
			for _, path := range []string{"/ws/location/1/2/", "/ws/location/3/4/"} {
				s := x.b.ConnectAs(t, world.Support, path, nil)
				s.Expect(t, "connected")
				s.ExpectNothing(t)
			}
			x.redis.Del(t.Context(), c.key)
		})
	}
	x.set(t, key, genuine) // within its time it can be put back
	s := x.b.Location(t, world.Support)
	if f := s.Expect(t, "location_update"); f.UserID != int64(world.Therapist) {
		t.Errorf("got %s", f.Raw)
	}
}

func (x *intruder) get(t *testing.T, key string) string {
	t.Helper()
	value, err := x.redis.Get(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func (x *intruder) set(t *testing.T, key, value string) {
	t.Helper()
	if err := x.redis.Set(t.Context(), key, value, 0).Err(); err != nil {
		t.Fatal(err)
	}
}

// ticketKey returns the key of a ticket: everybody can compute it.
func (x *intruder) ticketKey(ticket string) string {
	sum := sha256.Sum256([]byte(ticket))
	return x.channel("ticket:" + hex.EncodeToString(sum[:16]))
}

func TestIntruderMakesTickets(t *testing.T) {
	t.Parallel()
	x := newIntruder(t)
	ticket := x.a.Post(t, "/api/ticket/", nil, x.Token(t, world.Customer)).Expect(t, 200, "").Ticket
	key, chosen := x.ticketKey(ticket), "CHOSENCHOSENCHOSENCHOSEN00"
	genuine := x.get(t, key)
	now := time.Now()
	good := event.Ticket{User: world.Support, Expires: now.Add(time.Hour), Ends: now.Add(time.Hour)}
	ended, expired := good, good
	ended.Ends, expired.Expires = now, now
	other := x.real
	other.Timeline++
	changed := []byte(genuine)
	changed[40] ^= 1
	connect := func(ticket string) *world.Socket {
		return x.b.Connect(t, world.Handshake{Path: "/ws/chat/1/2/", Query: url.Values{"ticket": {ticket}}})
	}
	for name, value := range map[string]string{
		"a copy of a ticket":        genuine,
		"a changed copy":            string(changed),
		"sealed with his own key":   string(sealer(x.deployment(x.real.Keys[0].ID)).Seal(nil, x.ticketKey(chosen), now, good)),
		"on another timeline":       string(sealer(other).Seal(nil, x.ticketKey(chosen), now, good)),
		"ended":                     x.seal(x.ticketKey(chosen), now.Add(-time.Minute), ended).payload,
		"of a token that has ended": x.seal(x.ticketKey(chosen), now.Add(-time.Minute), expired).payload,
		"not sealed":                `{"user":1,"expires":"2100-01-01T00:00:00Z","ends":"2100-01-01T00:00:00Z"}`,
	} {
		t.Run(name, func(t *testing.T) {
			x.set(t, x.ticketKey(chosen), value)
			connect(chosen).ExpectRefusal(t, 4001, "token_invalid")
		})
	}
	for range 2 { // within its life a ticket can be put back, by somebody who has it
		connect(ticket).Expect(t, "connected")
		connect(ticket).ExpectRefusal(t, 4001, "token_invalid")
		x.set(t, key, genuine)
	}
}

// stored returns all values and lists of the deployment.
func (x *intruder) stored(t *testing.T) (values map[string]string, lists map[string][]string) {
	t.Helper()
	values, lists = map[string]string{}, map[string][]string{}
	keys, err := x.redis.Keys(t.Context(), x.RedisPrefix+"*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		switch x.redis.Type(t.Context(), key).Val() {
		case "string":
			value, err := x.redis.Get(t.Context(), key).Result()
			switch {
			case errors.Is(err, goredis.Nil): // it has just expired
			case err != nil:
				t.Fatal(err)
			default:
				values[key] = value
			}
		case "list":
			lists[key] = x.redis.LRange(t.Context(), key, 0, -1).Val()
		}
	}
	return values, lists
}

// restore puts back what stored has returned.
func (x *intruder) restore(t *testing.T, values map[string]string, lists map[string][]string) {
	t.Helper()
	if _, err := x.redis.Pipelined(t.Context(), func(p goredis.Pipeliner) error {
		for key, value := range values {
			p.Set(t.Context(), key, value, 0)
		}
		for key, list := range lists {
			p.Del(t.Context(), key)
			for _, value := range list {
				p.RPush(t.Context(), key, value)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestIntruderCopiesStories(t *testing.T) {
	t.Parallel()
	x := newIntruder(t)
	refused := func(user room.UserID, path string) string {
		s := x.a.ConnectAs(t, user, path, nil)
		s.ExpectRefusal(t, 4003, "not_your_room")
		return s.Ref()
	}
	ref := refused(world.Customer, "/ws/chat/3/4/")
	refused(world.OtherCustomer, "/ws/chat/1/2/")
	failures := func(user room.UserID) int {
		all, err := x.events.Stories.Failures(t.Context(), int64(user))
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	stories := func() int {
		all, err := x.events.Stories.Find(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	world.Eventually(t, "both are stored", func() (bool, any) {
		return failures(world.Customer) == 1 && failures(world.OtherCustomer) == 1 && stories() == 1, nil
	})
	_, lists := x.stored(t)
	forged := event.Failure(`{"v":1,"user":1,"ref":"` + ref + `","at":"` + time.Now().Format(time.RFC3339) + `","code":1,"why":"forged"}`)
	copied := map[string][]string{}
	for to, list := range lists {
		for _, other := range lists {
			list = append(slices.Clone(list), other...)
		}
		own := string(sealer(x.deployment(x.real.Keys[0].ID)).Seal(nil, to, time.Now(), forged))
		copied[to] = append(list, own, string(forged), strconv.Itoa(len(list)))
	}
	x.restore(t, nil, copied)
	if n := []int{failures(world.Customer), failures(world.OtherCustomer), stories()}; !slices.Equal(n, []int{1, 1, 1}) {
		t.Errorf("there are %v failures and stories", n)
	}
}
