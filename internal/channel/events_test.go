package channel_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// sealer returns a ring of another process of a deployment.
func sealer(d event.Deployment) *event.Ring {
	p := event.NewProcess()
	p.Use(d)
	return p.Ring()
}

// future is an event of a newer release.
type future struct{}

func (future) Kind() event.Kind           { return 255 }
func (future) AppendTo(dst []byte) []byte { return append(dst, "of tomorrow"...) }

// TestOnlyEventsThatOpenDoAnything publishes what a newer release, a replica with a wrong
// clock and an intruder would.
func TestOnlyEventsThatOpenDoAnything(t *testing.T) {
	t.Parallel()
	p := world.RedisStandalone(t)
	var out buffer
	reg := prometheus.NewRegistry()
	l := openWith(t, p.Options, slog.New(slog.NewTextHandler(&out, nil)), reg).Layer
	up(t, l)
	member := join(t, l, "chat_1_1")
	name := redis.Name(p.Options.Prefix, world.Deployment.ID, "chat_1_1")
	ours, now := sealer(world.Deployment), time.Now()
	others := world.Deployment
	others.Keys = []event.Key{{ID: event.KeyID{9}, Secret: [32]byte{9}}}
	valid := ours.Seal(nil, name, now, text("valid"))
	for reason, payload := range map[string][]byte{
		"not_authentic": append([]byte{valid[0] + 1}, valid[1:]...),
		"unknown_key":   sealer(others).Seal(nil, name, now, text("forged")),
		"stale":         ours.Seal(nil, name, now.Add(-time.Minute), event.Load{}),
	} {
		p.Each(t, func(ctx context.Context, node *goredis.Client) { node.Publish(ctx, name, payload) })
		world.Eventually(t, "the event is counted as "+reason, func() (bool, any) {
			n := labelled(t, reg, "roomspa_events_dropped_total", reason)
			return n == 1, n
		})
	}
	for _, garbage := range []string{"", "garbage", "\x01\x01" + strings.Repeat("x", 200), `{"v":1}`} {
		p.Each(t, func(ctx context.Context, node *goredis.Client) { node.Publish(ctx, name, garbage) })
	}
	publish(t, l, "chat_1_1", "of ours") // after it, all of the above was received
	member.wants(t, "of ours")
	select {
	case <-member.missed:
		t.Error("missed was called, and causes queries")
	default:
	}
	p.Each(t, func(ctx context.Context, node *goredis.Client) {
		node.Publish(ctx, name, ours.Seal(nil, name, now, future{}))
	})
	member.toldMissed(t)
	if n := strings.Count(out.String(), "Dropped events"); n != 1 {
		t.Errorf("logged %d times within a minute:\n%s", n, out.String())
	}
}

// labelled returns a counter with one label.
func labelled(t testing.TB, reg *prometheus.Registry, name, label string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// TestMembersMoveWithTheDeployment restores and replaces the database under two replicas.
func TestMembersMoveWithTheDeployment(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*event.Deployment){
		"another timeline":   func(d *event.Deployment) { d.Timeline++ },
		"another deployment": func(d *event.Deployment) { d.ID = "fedcba9876543210" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, prefix := world.Redis(t)
			o := redis.Options{URL: url, Prefix: prefix, Timeout: world.Limit}
			a, b := open(t, o), open(t, o)
			up(t, a.Layer, b.Layer)
			resets := make(chan bool, 10)
			got := make(chan string, 10)
			leave, err := a.Layer.Join(t.Context(), "chat_1_1", func(e event.Event) { got <- string(e.Body) }, func(reset bool) { resets <- reset })
			if err != nil {
				t.Fatal(err)
			}
			defer leave()
			d := world.Deployment
			change(&d)
			before := a.Ring()
			a.Layer.Use(d)
			select {
			case reset := <-resets:
				if !reset {
					t.Error("it is told of a gap and not of a reset")
				}
			case <-time.After(world.Limit):
				t.Fatal("the member is not told")
			}
			publish(t, b.Layer, "chat_1_1", "of the old one")
			world.RedisDirect(t, url, func(ctx context.Context, node *goredis.Client) { // a copy under the new name
				channel := redis.Name(prefix, d.ID, "chat_1_1")
				node.Publish(ctx, channel, before.Seal(nil, channel, time.Now(), text("copied")))
			})
			b.Layer.Use(d)
			publish(t, b.Layer, "chat_1_1", "of the new one")
			select {
			case text := <-got:
				if text != "of the new one" {
					t.Errorf("got %q", text)
				}
			case <-time.After(world.Limit):
				t.Error("the members do not meet again")
			}
			if _, err := a.Layer.Health(); err != nil {
				t.Errorf("a change is no outage: %v", err)
			}
		})
	}
}

// TestARotationOfKeysIsNoReset changes the keys under two replicas, one after the other.
func TestARotationOfKeysIsNoReset(t *testing.T) {
	t.Parallel()
	url, prefix := world.Redis(t)
	o := redis.Options{URL: url, Prefix: prefix, Timeout: world.Limit}
	a, b := open(t, o).Layer, open(t, o).Layer
	up(t, a, b)
	member := join(t, a, "chat_1_1")
	next := event.Key{ID: event.KeyID{2}, Secret: [32]byte{2}}
	for i, keys := range [][]event.Key{
		{world.Deployment.Keys[0], next}, // known to all before anybody uses it
		{next, world.Deployment.Keys[0]},
		{next},
	} {
		d := world.Deployment
		d.Keys = keys
		b.Use(d)
		publish(t, b, "chat_1_1", itoa(i))
		member.wants(t, itoa(i))
		a.Use(d)
	}
	select {
	case <-member.missed:
		t.Error("missed was called")
	default:
	}
}

// TestDeploymentsOnOneRedisFindEachOther lets two deployments use one Redis and prefix, with
// different database numbers.
func TestDeploymentsOnOneRedisFindEachOther(t *testing.T) {
	t.Parallel()
	p := world.RedisStandalone(t)
	a := open(t, p.Options)
	o := p.Options
	o.URL = strings.TrimSuffix(o.URL, "/0") + "/3"
	b := open(t, o)
	d := world.Deployment
	d.ID = "fedcba9876543210"
	b.Layer.Use(d)
	up(t, a.Layer, b.Layer)
	world.Eventually(t, "both have heard the other", func() (bool, any) {
		x, y := a.Layer.ExchangeDeployments(), b.Layer.ExchangeDeployments()
		return len(x) == 1 && x[0] == d.ID && len(y) == 1 && y[0] == world.Deployment.ID, []any{x, y}
	})
	member := join(t, a.Layer, "chat_1_1")
	publish(t, b.Layer, "chat_1_1", "of the other deployment")
	publish(t, a.Layer, "chat_1_1", "of ours")
	member.wants(t, "of ours")
}
