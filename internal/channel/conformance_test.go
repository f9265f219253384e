package channel_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/channel"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/sandbox"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// The layer keeps the same promises in every mode of Redis, and in a cluster that refuses sharded
// Pub/Sub.
func TestConformance(t *testing.T) {
	t.Parallel()
	modes := maps.Clone(world.RedisModes)
	modes["cluster without sharded Pub/Sub"] = world.RedisPlainCluster
	for name, start := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conform(t, start(t))
		})
	}
}

func conform(t *testing.T, p *world.RedisServers) { //nolint:tparallel // they share servers, which the later ones break
	for _, c := range []struct {
		name string
		test func(*testing.T, *world.RedisServers)
	}{
		{"joins at once subscribe together", testJoinsCoalesce},
		{"what is published after a join is heard", testNothingMissedAfterJoin},
		{"two layers hear each other in order", testTwoLayersInOrder},
		{"the last to leave unsubscribes", testLastLeaveUnsubscribes},
		{"leaving and joining again never ends deaf", testChurn},
		{"a saved position can be read before it is heard of", testSaveThenPublish},
		{"a command announces without a layer", testAnnounce},
		{"Check hears itself", testCheck},
		{"a killed subscriber comes back and says so", testClientKill},
		{"a stalled Redis holds nobody", testStalled},
		{"a Redis that is gone refuses at once, and heals", testGone},
	} {
		if !t.Run(c.name, func(t *testing.T) { c.test(t, p) }) {
			return // it may have left the servers broken
		}
	}
}

func testJoinsCoalesce(t *testing.T, p *world.RedisServers) {
	l := open(t, p.Options).Layer
	up(t, l)
	before := p.SubscribeCommands(t)
	ctx, cancel := context.WithTimeout(t.Context(), world.Limit)
	defer cancel()
	const joins = 2000
	var all sync.WaitGroup
	for i := range joins {
		all.Go(func() {
			if _, err := l.Join(ctx, "chat_1_"+itoa(i), func(event.Event) {}, func(bool) {}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	limit := joins / 10
	if p.Options.Mode == "cluster" {
		limit = joins / 2 // each of 32 shards subscribes its own
	}
	if commands := p.SubscribeCommands(t) - before; commands > limit {
		t.Errorf("%d joins at once took %d SUBSCRIBE commands", joins, commands)
	}
	if n := p.Subscribers(t, "chat_1_1999"); n != 1 {
		t.Errorf("%d subscribers, want 1", n)
	}
}

func testNothingMissedAfterJoin(t *testing.T, p *world.RedisServers) {
	here, there := open(t, p.Options).Layer, open(t, p.Options).Layer
	up(t, here, there)
	for i := range 200 {
		group := "chat_2_" + itoa(i)
		ls := join(t, here, group)
		publish(t, there, group, "first")
		ls.wants(t, "first")
	}
}

func testTwoLayersInOrder(t *testing.T, p *world.RedisServers) {
	const n = 3000
	a, b := open(t, p.Options).Layer, open(t, p.Options).Layer
	up(t, a, b)
	members := []*listener{join(t, a, "chat_3_1"), join(t, a, "chat_3_1"), join(t, b, "chat_3_1")}
	other := join(t, b, "chat_3_2")
	if got := p.Subscribers(t, "chat_3_1"); got != 2 {
		t.Errorf("two replicas make %d subscriptions", got)
	}
	var done sync.WaitGroup
	for i := range n {
		done.Add(1)
		a.Publish("chat_3_1", text(itoa(i)), func(err error) {
			if err != nil {
				t.Error(err)
			}
			done.Done()
		})
	}
	done.Wait()
	for _, m := range members {
		for i := range n {
			m.wants(t, itoa(i))
		}
	}
	if len(other.got) > 0 {
		t.Error("a payload went to another group")
	}
}

func testLastLeaveUnsubscribes(t *testing.T, p *world.RedisServers) {
	l := open(t, p.Options).Layer
	up(t, l)
	first := join(t, l, "chat_4_1")
	last := join(t, l, "chat_4_1")
	first.leave()
	first.leave() // twice is fine
	publish(t, l, "chat_4_1", "still here")
	last.wants(t, "still here")
	last.leave()
	world.Eventually(t, "nobody is subscribed any more", func() (bool, any) {
		n := p.Subscribers(t, "chat_4_1")
		return n == 0, n
	})
	if len(first.got) > 0 {
		t.Error("a member that has left was called")
	}
}

func testChurn(t *testing.T, p *world.RedisServers) {
	l, other := open(t, p.Options).Layer, open(t, p.Options).Layer
	up(t, l, other)
	stop := make(chan struct{})
	var traffic, churn sync.WaitGroup
	traffic.Go(func() {
		for {
			for g := range 3 {
				_ = tryPublish(t, other, "chat_5_"+itoa(g), "noise")
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	for i := range 12 {
		churn.Go(func() {
			for range 50 {
				ctx, cancel := context.WithTimeout(t.Context(), world.Limit)
				leave, err := l.Join(ctx, "chat_5_"+itoa(i%3), func(event.Event) {}, func(bool) {})
				cancel()
				if err != nil {
					t.Error(err)
					return
				}
				leave()
			}
		})
	}
	churn.Wait()
	close(stop)
	traffic.Wait()
	for g := range 3 {
		ls := join(t, l, "chat_5_"+itoa(g))
		publish(t, other, "chat_5_"+itoa(g), "the end")
		for got := ""; got != "the end"; {
			select {
			case got = <-ls.got:
			case <-time.After(world.Limit):
				t.Fatal("deaf")
			}
		}
		ls.leave()
		world.Eventually(t, "nobody is subscribed any more", func() (bool, any) {
			n := p.Subscribers(t, "chat_5_"+itoa(g))
			return n == 0, n
		})
	}
}

func testSaveThenPublish(t *testing.T, p *world.RedisServers) {
	c, other := open(t, p.Options), open(t, p.Options)
	up(t, c.Layer, other.Layer)
	r := room.Room{Customer: 21, Therapist: 22}
	heard := join(t, other.Layer, r.Group("location"))
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for i := range 100 {
		at = at.Add(time.Second)
		c.Positions.Save(r, event.Position{User: 22, Recorded: at.UnixMilli(), Frame: []byte(itoa(i))}, nil)
		c.Layer.Publish(r.Group("location"), text(itoa(i)), nil)
		heard.wants(t, itoa(i))
		last, err := other.Positions.Last(t.Context(), r)
		if err != nil || len(last) != 1 || !strings.HasSuffix(string(last[0].Body), itoa(i)) {
			t.Fatalf("heard of %d, read %v, %v", i, last, err)
		}
	}
}

func testAnnounce(t *testing.T, p *world.RedisServers) {
	l := open(t, p.Options).Layer
	up(t, l)
	member := join(t, l, "chat_9_1")
	command, err := redis.Open(p.Options, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer command.Close()
	command.Use(world.Deployment)
	if err := channel.Announce(t.Context(), command, "chat_9_1", text("from a command")); err != nil {
		t.Fatal(err)
	}
	member.wants(t, "from a command")
}

func testCheck(t *testing.T, p *world.RedisServers) {
	c := open(t, p.Options)
	up(t, c.Layer)
	if err := c.Layer.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if strings.Contains(c.Address(), world.RedisPassword) {
		t.Error("the address shows the password")
	}
}

func testClientKill(t *testing.T, p *world.RedisServers) {
	l, other := open(t, p.Options).Layer, open(t, p.Options).Layer
	up(t, l, other)
	var members []*listener
	for i := range 20 {
		members = append(members, join(t, l, "chat_6_"+itoa(i)))
	}
	p.KillSubscribers(t, "chat_6_0")
	for i, m := range members {
		m.toldMissed(t)
		if got := p.Subscribers(t, "chat_6_"+itoa(i)); got == 0 {
			t.Error("missed was called before the group was subscribed again")
		}
	}
	up(t, l, other)
	for i, m := range members {
		publish(t, other, "chat_6_"+itoa(i), "again")
		m.wants(t, "again")
	}
}

func testStalled(t *testing.T, p *world.RedisServers) {
	l := open(t, p.Impatient()).Layer
	up(t, l)
	member := join(t, l, "chat_7_1")
	p.All(t, (*sandbox.Redis).Pause)
	t.Cleanup(func() { p.All(t, (*sandbox.Redis).Resume) }) // for the tests after this one, if it fails
	if err := tryPublish(t, l, "chat_7_1", "lost"); !errors.Is(err, room.ErrUnavailable) {
		t.Errorf("a publish to a stalled Redis: %v", err)
	}
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			_, err := l.Join(ctx, "chat_7_1"+itoa(i), func(event.Event) {}, func(bool) {})
			if !errors.Is(err, room.ErrUnavailable) || !strings.Contains(err.Error(), "no confirmed SUBSCRIBE") {
				t.Errorf("a join: %v", err)
			}
		})
	}
	within(t, "joins fail", all.Wait)
	world.Eventually(t, "the layer cannot subscribe", func() (bool, any) {
		_, err := l.Health()
		return err != nil && strings.Contains(err.Error(), "subscribe"), err
	})
	if err := l.Check(t.Context()); !errors.Is(err, room.ErrUnavailable) {
		t.Errorf("Check of a stalled Redis: %v", err)
	}
	p.All(t, (*sandbox.Redis).Resume)
	up(t, l)
	member.toldMissed(t)
	hears(t, l, member, "chat_7_1")
}

func testGone(t *testing.T, p *world.RedisServers) {
	l := open(t, p.Options).Layer
	up(t, l)
	member := join(t, l, "chat_8_1")
	p.All(t, (*sandbox.Redis).Kill)
	world.Eventually(t, "the layer cannot publish", func() (bool, any) {
		_, err := l.Health()
		return err != nil && strings.Contains(err.Error(), "publish"), err
	})
	world.Eventually(t, "the shard of the group knows it, too", func() (bool, any) {
		var refused atomic.Bool
		l.Publish("chat_8_1", text("gone"), func(error) { refused.Store(true) })
		return refused.Load(), nil
	})
	var calls sync.Map
	for i := range 100 {
		l.Publish("chat_8_1", text("gone"), func(err error) {
			if _, twice := calls.LoadOrStore(i, true); twice || !errors.Is(err, room.ErrUnavailable) {
				t.Errorf("done: twice %v, %v", twice, err)
			}
		})
		if _, called := calls.Load(i); !called {
			t.Fatal("a publish was not refused at once")
		}
	}
	_, err := l.Health()
	if strings.Contains(fmt.Sprint(err), world.RedisPassword) {
		t.Error("the cause shows the password")
	}
	p.All(t, func(r *sandbox.Redis) error { return r.Restart(t.Context()) })
	up(t, l)
	member.toldMissed(t)
	hears(t, l, member, "chat_8_1")
}
