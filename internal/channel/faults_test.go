package channel_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/netfault"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestSubscribeForbiddenIsTheReasonAndHealsByItself(t *testing.T) {
	t.Parallel()
	p := world.RedisStandalone(t)
	acl := func(rules ...string) {
		t.Helper()
		p.Each(t, func(ctx context.Context, node *goredis.Client) {
			args := []any{"ACL", "SETUSER", "replica"}
			for _, r := range rules {
				args = append(args, r)
			}
			if err := node.Do(ctx, args...).Err(); err != nil {
				t.Fatal(err)
			}
		})
	}
	acl("on", ">"+world.RedisPassword, "~*", "&*", "+@all")
	healthy := open(t, p.Options)
	o := p.Options
	o.URL = strings.Replace(o.URL, "default:", "replica:", 1)
	c := open(t, o)
	up(t, c.Layer, healthy.Layer)
	member, elsewhere := join(t, c.Layer, "chat_1_1"), join(t, healthy.Layer, "chat_1_1")

	acl("-subscribe")
	p.KillSubscribers(t, "chat_1_1")
	world.Eventually(t, "the layer may not subscribe", func() (bool, any) {
		_, err := c.Layer.Health()
		return cause.Of(err) == "redis_subscribe_forbidden", err
	})
	if err := c.Ping(t.Context()); err != nil {
		t.Errorf("PING: %v", err)
	}
	if err := c.Layer.Check(t.Context()); !errors.Is(err, room.ErrUnavailable) || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("Check: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := c.Layer.Join(ctx, "chat_1_2", func(event.Event) {}, func(bool) {})
	if !errors.Is(err, room.ErrUnavailable) || !strings.Contains(err.Error(), "NOPERM") {
		t.Errorf("Join: %v", err)
	}
	up(t, healthy.Layer)
	publish(t, c.Layer, "chat_1_1", "others hear what it says")
	elsewhere.wants(t, "others hear what it says")

	acl("+subscribe")
	up(t, c.Layer)
	member.toldMissed(t)
	hears(t, c.Layer, member, "chat_1_1")
}

// While nothing can be published members put off what they have to look for, so they
// are told when it can, though the subscription was never lost.
func TestWhoWaitedForPublishingIsTold(t *testing.T) {
	t.Parallel()
	p := world.RedisStandalone(t)
	acl := func(publish string) {
		t.Helper()
		p.Each(t, func(ctx context.Context, node *goredis.Client) {
			if err := node.Do(ctx, "ACL", "SETUSER", "replica", "on", ">"+world.RedisPassword, "~*", "&*", "+@all", publish).Err(); err != nil {
				t.Fatal(err)
			}
		})
	}
	acl("+publish")
	o := p.Options
	o.URL = strings.Replace(o.URL, "default:", "replica:", 1)
	l := open(t, o).Layer
	up(t, l)
	member := join(t, l, "chat_1_1")
	acl("-publish")
	world.Eventually(t, "the layer may not publish", func() (bool, any) {
		_, err := l.Health()
		return err != nil && strings.HasPrefix(err.Error(), "publish: NOPERM"), err
	})
	acl("+publish")
	up(t, l)
	member.toldMissed(t)
}

// Faults of the network, seen by one replica of two.
func TestNetworkFaults(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*netfault.Proxy){
		"cut":                (*netfault.Proxy).Cut,
		"stalled":            (*netfault.Proxy).Stall,
		"answers are lost":   (*netfault.Proxy).StallDown,
		"questions are lost": (*netfault.Proxy).StallUp,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := world.RedisStandalone(t)
			proxy := netfault.New(t, p.Nodes[0].Addr())
			o := p.Impatient()
			o.URL = proxy.URL(o.URL)
			l, other := open(t, o).Layer, open(t, p.Options).Layer
			up(t, l, other)
			member := join(t, l, "chat_1_1")

			fault(proxy)
			world.Eventually(t, "the layer cannot subscribe", func() (bool, any) {
				_, err := l.Health()
				return err != nil && strings.Contains(err.Error(), "subscribe"), err
			})
			publish(t, other, "chat_1_1", "perhaps lost")
			proxy.Heal()
			up(t, l)
			member.toldMissed(t)
			hears(t, other, member, "chat_1_1")
		})
	}
}

// A delay of a tenth of the timeout is no outage.
func TestDelayIsNoOutage(t *testing.T) {
	t.Parallel()
	p := world.RedisStandalone(t)
	proxy := netfault.New(t, p.Nodes[0].Addr())
	o := p.Impatient()
	o.URL = proxy.URL(o.URL)
	proxy.Delay(200 * time.Millisecond)
	l := open(t, o).Layer
	up(t, l)
	member := join(t, l, "chat_1_1")
	world.Eventually(t, "nothing was missed", func() (bool, any) { // a busy machine may delay more
		up(t, l)
		before, _ := l.Health()
		for len(member.missed) > 0 {
			<-member.missed
		}
		for i := range 5 {
			if err := tryPublish(t, l, "chat_1_1", itoa(i)); err != nil {
				return false, err
			}
		}
		after, err := l.Health()
		return before.Equal(after) && err == nil && len(member.missed) == 0, err
	})
}

func TestAnOutageIsLoggedOnceAndCounted(t *testing.T) {
	t.Parallel()
	p := world.RedisStandalone(t)
	var out buffer
	reg := prometheus.NewRegistry()
	l := openWith(t, p.Options, slog.New(slog.NewTextHandler(&out, nil)), reg).Layer
	up(t, l)
	join(t, l, "chat_1_1")
	if err := p.Nodes[0].Kill(); err != nil {
		t.Fatal(err)
	}
	world.Eventually(t, "the layer has been away for a second", func() (bool, any) { // long enough for a few attempts
		since, err := l.Health()
		return err != nil && time.Since(since) > time.Second, err
	})
	if err := p.Nodes[0].Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	up(t, l)
	got := out.String()
	for _, want := range []string{
		`level=INFO msg="[ChannelLayer] Connected to Redis"`,
		`level=ERROR msg="[ChannelLayer] Connection lost: `,
		`level=INFO msg="[ChannelLayer] Connection restored"`,
	} {
		if n := strings.Count(got, want); n != 1 {
			t.Errorf("%d times %s in\n%s", n, want, got)
		}
	}
	if strings.Count(got, "\n") != 3 || strings.Contains(got, world.RedisPassword) {
		t.Errorf("logged:\n%s", got)
	}
	if n := value(t, reg, "roomspa_resubscriptions_total"); n != 1 {
		t.Errorf("%v resubscriptions, want 1", n)
	}
	if n := value(t, reg, "roomspa_redis_groups"); n != 1 {
		t.Errorf("%v groups, want 1", n)
	}
}

func TestThousandsOfGroupsComeBackTogether(t *testing.T) {
	t.Parallel()
	const groups = 3000
	p := world.RedisStandalone(t)
	l := open(t, p.Options).Layer
	up(t, l)
	var all, missed sync.WaitGroup
	missed.Add(groups)
	for i := range groups {
		told := sync.OnceFunc(missed.Done)
		all.Go(func() {
			if _, err := l.Join(t.Context(), "chat_1_"+itoa(i), func(event.Event) {}, func(bool) { told() }); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	before := p.SubscribeCommands(t)
	p.KillSubscribers(t, "chat_1_1")
	within(t, "all members are told", missed.Wait)
	if commands := p.SubscribeCommands(t) - before; commands > groups/500+3 { // also the echo, twice, and the deployments
		t.Errorf("it took %d SUBSCRIBE commands", commands)
	}
}

// While Redis takes nothing, nothing is kept for it.
func TestNothingPilesUpInAnOutage(t *testing.T) {
	t.Parallel()
	p := world.RedisStandalone(t)
	l := open(t, p.Impatient()).Layer
	up(t, l)
	if err := p.Nodes[0].Pause(); err != nil {
		t.Fatal(err)
	}
	const n = 20_000
	var done sync.WaitGroup
	var calls, failed atomic.Int64
	done.Add(n)
	for range n {
		l.Publish("chat_1_1", event.Story(make([]byte, 100)), func(err error) {
			if errors.Is(err, room.ErrUnavailable) {
				failed.Add(1)
			}
			calls.Add(1)
			done.Done()
		})
	}
	if refused := failed.Load(); refused < n-9000 {
		t.Errorf("%d of %d publishes were refused at once: the others wait", refused, n)
	}
	within(t, "all publishes are done", done.Wait)
	if err := p.Nodes[0].Resume(); err != nil {
		t.Fatal(err)
	}
	up(t, l)
	world.Eventually(t, "a publish succeeds again", func() (bool, any) {
		err := tryPublish(t, l, "chat_1_1", "again")
		return err == nil, err
	})
	if calls.Load() != n || failed.Load() != n {
		t.Errorf("%d calls of done, %d of them failures, want %d", calls.Load(), failed.Load(), n)
	}
}

// value adds up a metric.
func value(t testing.TB, reg *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
			return sum
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
