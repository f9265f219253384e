package redis_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

// The same promises, wherever Redis is.
func TestConformance(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB) *place{
		"standalone": standalone, "sentinel": sentinel, "cluster": cluster,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conform(t, start(t))
		})
	}
}

func conform(t *testing.T, p *place) { //nolint:tparallel // they share servers, which the later ones break
	for _, c := range []struct {
		name string
		test func(*testing.T, *place)
	}{
		{"joins at once subscribe together", testJoinsCoalesce},
		{"what is published after a join is heard", testNothingMissedAfterJoin},
		{"two layers hear each other in order", testTwoLayersInOrder},
		{"the last to leave unsubscribes", testLastLeaveUnsubscribes},
		{"leaving and joining again never ends deaf", testChurn},
		{"positions keep the newer one", testPositions},
		{"a saved position can be read before it is heard of", testSaveThenPublish},
		{"a ticket is good once", testTickets},
		{"attempts are counted across replicas", testThrottle},
		{"Check hears itself", testCheck},
		{"a killed subscriber comes back and says so", testClientKill},
		{"a stalled Redis holds nobody", testStalled},
		{"a Redis that is gone refuses at once, and heals", testGone},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, p) })
	}
}

func testJoinsCoalesce(t *testing.T, p *place) {
	l := open(t, p.options).Layer
	up(t, l)
	before := p.subscribes(t)
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	const joins = 2000
	var all sync.WaitGroup
	began := time.Now()
	for i := range joins {
		all.Go(func() {
			if _, err := l.Join(ctx, "chat_1_"+itoa(i), func([]byte) {}, func() {}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	commands := p.subscribes(t) - before
	t.Logf("%d joins: %d commands, %v", joins, commands, took)
	if commands > joins/10 {
		t.Errorf("%d joins at once took %d SUBSCRIBE commands", joins, commands)
	}
	if n := p.subscribers(t, "chat_1_1999"); n != 1 {
		t.Errorf("%d subscribers, want 1", n)
	}
}

// subscribes counts the SUBSCRIBE commands that Redis has handled.
func (p *place) subscribes(t *testing.T) int {
	t.Helper()
	return p.sum(t, func(ctx context.Context, node *goredis.Client) int {
		found := regexp.MustCompile(`cmdstat_subscribe:calls=(\d+)`).FindStringSubmatch(node.Info(ctx, "commandstats").Val())
		if found == nil {
			return 0
		}
		n, _ := strconv.Atoi(found[1])
		return n
	})
}

func testNothingMissedAfterJoin(t *testing.T, p *place) {
	here, there := open(t, p.options).Layer, open(t, p.options).Layer
	up(t, here, there)
	for i := range 200 {
		group := "chat_2_" + itoa(i)
		ls := join(t, here, group)
		publish(t, there, group, "first")
		ls.wants(t, "first")
	}
}

func testTwoLayersInOrder(t *testing.T, p *place) {
	const n = 3000
	a, b := open(t, p.options).Layer, open(t, p.options).Layer
	up(t, a, b)
	members := []*listener{join(t, a, "chat_3_1"), join(t, a, "chat_3_1"), join(t, b, "chat_3_1")}
	other := join(t, b, "chat_3_2")
	if got := p.subscribers(t, "chat_3_1"); got != 2 {
		t.Errorf("two replicas make %d subscriptions", got)
	}
	var done sync.WaitGroup
	for i := range n {
		done.Add(1)
		a.Publish("chat_3_1", []byte(itoa(i)), func(err error) {
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

func testLastLeaveUnsubscribes(t *testing.T, p *place) {
	l := open(t, p.options).Layer
	up(t, l)
	first := join(t, l, "chat_4_1")
	last := join(t, l, "chat_4_1")
	first.leave()
	first.leave() // twice is fine
	publish(t, l, "chat_4_1", "still here")
	last.wants(t, "still here")
	last.leave()
	eventually(t, 5*time.Second, func() (bool, any) {
		n := p.subscribers(t, "chat_4_1")
		return n == 0, n
	})
	if len(first.got) > 0 {
		t.Error("a member that has left was called")
	}
}

func testChurn(t *testing.T, p *place) {
	l, other := open(t, p.options).Layer, open(t, p.options).Layer
	up(t, l, other)
	stop := make(chan struct{})
	var traffic, churn sync.WaitGroup
	traffic.Go(func() {
		for {
			for g := range 3 {
				_ = publishing(t, other, "chat_5_"+itoa(g), "noise")
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
			for range 150 {
				ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
				leave, err := l.Join(ctx, "chat_5_"+itoa(i%3), func([]byte) {}, func() {})
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
			case <-time.After(10 * time.Second):
				t.Fatal("deaf")
			}
		}
		ls.leave()
		eventually(t, 5*time.Second, func() (bool, any) {
			n := p.subscribers(t, "chat_5_"+itoa(g))
			return n == 0, n
		})
	}
}

func testCheck(t *testing.T, p *place) {
	c := open(t, p.options)
	up(t, c.Layer)
	if err := c.Layer.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if strings.Contains(c.Address(), secret) {
		t.Error("the address shows the password")
	}
}

func testClientKill(t *testing.T, p *place) {
	l, other := open(t, p.options).Layer, open(t, p.options).Layer
	up(t, l, other)
	var members []*listener
	for i := range 20 {
		members = append(members, join(t, l, "chat_6_"+itoa(i)))
	}
	p.killSubscribers(t, "chat_6_0")
	for i, m := range members {
		m.toldMissed(t, time.Second)
		if got := p.subscribers(t, "chat_6_"+itoa(i)); got == 0 {
			t.Error("missed was called before the group was subscribed again")
		}
	}
	up(t, l, other)
	for i, m := range members {
		publish(t, other, "chat_6_"+itoa(i), "again")
		m.wants(t, "again")
	}
}

func testStalled(t *testing.T, p *place) {
	c := open(t, p.options)
	l := c.Layer
	up(t, l)
	member := join(t, l, "chat_7_1")
	p.all(t, (*sandbox.Redis).Pause)
	t.Cleanup(func() { p.all(t, (*sandbox.Redis).Resume) }) // for the tests after this one, if it fails
	began := time.Now()
	if err := publishing(t, l, "chat_7_1", "lost"); !errors.Is(err, room.ErrUnavailable) {
		t.Errorf("a publish to a stalled Redis: %v", err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %v to fail", took)
	}
	began = time.Now()
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			_, err := l.Join(ctx, "chat_7_1"+itoa(i), func([]byte) {}, func() {})
			if !errors.Is(err, room.ErrUnavailable) || !strings.Contains(err.Error(), "no confirmed SUBSCRIBE") {
				t.Errorf("a join: %v", err)
			}
		})
	}
	all.Wait()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("50 joins took %v to fail", took)
	}
	eventually(t, 5*time.Second, func() (bool, any) {
		_, err := l.Health()
		return err != nil && strings.Contains(err.Error(), "subscribe"), err
	})
	if err := l.Check(t.Context()); !errors.Is(err, room.ErrUnavailable) {
		t.Errorf("Check of a stalled Redis: %v", err)
	}
	p.all(t, (*sandbox.Redis).Resume)
	up(t, l)
	member.toldMissed(t, 15*time.Second)
	hears(t, l, member, "chat_7_1")
}

// hears waits until what is published is heard. In a cluster that has just come
// back, nodes may not know each other yet.
func hears(t *testing.T, l *redis.Layer, ls *listener, group string) {
	t.Helper()
	eventually(t, 20*time.Second, func() (bool, any) {
		if err := publishing(t, l, group, "back"); err != nil {
			return false, err
		}
		deadline := time.After(500 * time.Millisecond)
		for {
			select {
			case got := <-ls.got:
				if got == "back" {
					return true, nil
				}
			case <-deadline:
				return false, "published, but not heard"
			}
		}
	})
}

func testGone(t *testing.T, p *place) {
	l := open(t, p.options).Layer
	up(t, l)
	member := join(t, l, "chat_8_1")
	p.all(t, (*sandbox.Redis).Kill)
	eventually(t, 10*time.Second, func() (bool, any) {
		_, err := l.Health()
		return err != nil && strings.Contains(err.Error(), "publish"), err
	})
	var calls sync.Map
	began := time.Now()
	for i := range 100 {
		l.Publish("chat_8_1", []byte("gone"), func(err error) {
			if _, twice := calls.LoadOrStore(i, true); twice || !errors.Is(err, room.ErrUnavailable) {
				t.Errorf("done: twice %v, %v", twice, err)
			}
		})
		if _, called := calls.Load(i); !called {
			t.Fatal("a publish was not refused at once")
		}
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("100 publishes took %v to be refused", took)
	}
	_, err := l.Health()
	t.Logf("the cause: %v", err)
	if strings.Contains(fmt.Sprint(err), secret) {
		t.Error("the cause shows the password")
	}
	p.all(t, func(r *sandbox.Redis) error { return r.Restart(t.Context()) })
	eventually(t, 30*time.Second, func() (bool, any) {
		_, err := l.Health()
		return err == nil, err
	})
	member.toldMissed(t, 15*time.Second)
	hears(t, l, member, "chat_8_1")
}
