package fleet

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/room"
)

// A world is what replicas share: Postgres, and channel layers. All of it lives in a
// bubble.
type world struct {
	t       *testing.T
	running sync.WaitGroup
	ctx     context.Context //nolint:containedctx // of one test

	mu        sync.Mutex
	away      bool // Postgres
	identity  event.Deployment
	others    []string       // deployments on the same Redis
	beats     map[string]row // the table of heartbeats
	suspected chan struct{}  // as if all replicas shared one connection
	replicas  []*replica
}

type row struct {
	room.Heartbeat
	at time.Time
}

// A replica is a fleet as one replica sees it, and its channel layer.
type replica struct {
	*Fleet
	world   *world
	layer   string // the name of the channel layer that it uses; "" while Redis is down
	deliver func(event.Event)
	used    []event.Deployment
	counter uint64 // of the last event

	cannotShard error // what CanShard returns
	refusal     error // what UseSharded got

	reg *prometheus.Registry
	log bytes.Buffer
	end context.CancelFunc
}

func (w *world) Heartbeat(_ context.Context, own room.Heartbeat, within time.Duration) (d event.Deployment, others []room.Heartbeat, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away {
		return d, nil, errors.New("away")
	}
	now := time.Now()
	w.beats[own.ID] = row{own, now}
	for id, r := range w.beats {
		if r.Age = now.Sub(r.at); id != own.ID && r.Age < within {
			others = append(others, r.Heartbeat)
		}
	}
	return w.identity, others, nil
}

func (w *world) RestoreSuspected() <-chan struct{} { return w.suspected }

func (w *world) DeleteHeartbeat(_ context.Context, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.beats, id)
	return nil
}

var identity = event.Deployment{ID: "0123456789abcdef", Timeline: 1, Keys: []event.Key{{ID: event.KeyID{1}}}}

// inWorld runs a test with fake time.
func inWorld(t *testing.T, test func(*world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := &world{t: t, ctx: ctx, beats: map[string]row{}, identity: identity, suspected: make(chan struct{}, 1)}
		test(w)
		cancel()
		w.running.Wait()
	})
}

func (r *replica) Join(_ context.Context, _ string, deliver func(event.Event), _ func(bool)) (func(), error) {
	r.world.set(func() { r.deliver = deliver })
	return func() { r.world.set(func() { r.deliver = nil }) }, nil
}

func (r *replica) Use(d event.Deployment) { r.world.set(func() { r.used = append(r.used, d) }) }

func (r *replica) CanShard(context.Context) (refusal error) {
	r.world.set(func() { refusal = r.cannotShard })
	return refusal
}

func (r *replica) UseSharded(refusal error) { r.world.set(func() { r.refusal = refusal }) }

func (r *replica) ExchangeDeployments() (ids []string) {
	r.world.set(func() { ids = r.world.others })
	return ids
}

func (r *replica) Publish(_ string, body event.Body, done func(error)) {
	var all []func(event.Event)
	var counter uint64
	r.world.set(func() {
		r.counter++
		counter = r.counter
		for _, to := range r.world.replicas {
			if to.deliver != nil && r.layer != "" && to.layer == r.layer {
				all = append(all, to.deliver)
			}
		}
	})
	for _, deliver := range all {
		deliver(event.Event{Kind: body.Kind(), Sender: r.ID(), Counter: counter, At: time.Now(), Body: body.AppendTo(nil)})
	}
	if done != nil {
		done(nil)
	}
}

func (w *world) joins(name, layer string, keys ...string) *replica {
	w.t.Helper()
	r := &replica{world: w, layer: layer, reg: prometheus.NewRegistry()}
	r.Fleet = New(name, event.NewProcess().ID(), func() []string { return keys }, r, w, slog.New(slog.NewTextHandler(&r.log, nil)), r.reg)
	r.Describe("", "of-"+name+":5432/chat", nil)
	ctx, cancel := context.WithCancel(w.ctx)
	r.end = cancel
	w.set(func() { w.replicas = append(w.replicas, r) })
	w.running.Go(func() { r.Run(ctx) })
	w.pass(1700 * time.Millisecond) // they are not in step
	return r
}

// change lets the layer of a replica be another one.
func (w *world) change(layer string, all ...*replica) {
	w.set(func() {
		for _, r := range all {
			r.layer = layer
		}
	})
	w.pass(time.Second)
}

// ends lets a replica shut down.
func (w *world) ends(r *replica) {
	r.end()
	synctest.Wait()
}

func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// kill ends a replica so that it cannot take its heartbeat away.
func (w *world) kill(r *replica) {
	var left row
	w.set(func() { left = w.beats[r.ID().String()] })
	w.ends(r)
	w.set(func() { w.beats[r.ID().String()] = left })
}

func (w *world) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// Finding returns what a replica finds first, beside that others are hung or lost.
func (r *replica) Finding() error {
	for _, err := range r.Findings() {
		if cause.Of(err) != hungReplicas.cause {
			return err
		}
	}
	return nil
}

// lines returns the log without the lines about replicas that are hung or lost.
func (r *replica) lines() (all string) {
	for line := range strings.Lines(r.log.String()) {
		if !strings.Contains(line, "cause="+hungReplicas.cause) {
			all += line
		}
	}
	return all
}

// cause is the word for what a replica finds.
func (r *replica) cause() string { return cause.Of(r.Finding()) }

func (r *replica) metric(name string) float64 {
	families, err := r.reg.Gather()
	if err != nil {
		return -1
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return -1
}

func TestASplitIsFoundByBothAndHeals(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b := w.joins("a", "one", "k"), w.joins("b", "two", "k")
		w.pass(25 * time.Second)
		if a.cause() != "" || b.cause() != "" {
			t.Errorf("after 25 s already: %v, %v", a.Finding(), b.Finding())
		}
		w.pass(30 * time.Second)
		for r, other := range map[*replica]string{a: "b", b: "a"} {
			if r.cause() != splitLayer.cause || !strings.HasSuffix(r.Finding().Error(), ": "+other) {
				t.Errorf("%v", r.Finding())
			}
			if n := r.metric("roomspa_replicas_unheard"); n != 1 {
				t.Errorf("the metric is %v", n)
			}
		}
		w.pass(10 * time.Minute)
		w.change("one", b)
		w.pass(20 * time.Second)
		for _, r := range []*replica{a, b} {
			if r.cause() != "" || r.metric("roomspa_replicas_unheard") != 0 {
				t.Errorf("after it has healed: %v", r.Finding())
			}
			log := r.log.String()
			if strings.Count(log, "level=ERROR") != 1 || strings.Count(log, "cause=split_channel_layer") != 2 || strings.Count(log, "Channel layer no longer split") != 1 {
				t.Errorf("the log is\n%s", log)
			}
		}
	})
}

func TestWhatIsNoSplit(t *testing.T) {
	for name, scene := range map[string]func(w *world, a, b *replica){
		"nothing happens":               func(*world, *replica, *replica) {},
		"Redis is away for both":        func(w *world, a, b *replica) { w.change("", a, b); w.pass(time.Minute); w.change("one", a, b) },
		"Redis is away for one of them": func(w *world, _, b *replica) { w.change("", b); w.pass(5 * time.Minute); w.change("one", b) },
		"Redis comes and goes": func(w *world, a, b *replica) {
			for range 20 {
				w.change("", a, b)
				w.pass(17 * time.Second)
				w.change("one", a, b)
				w.pass(6 * time.Second)
			}
		},
		"Redis fails over, and one follows later": func(w *world, a, b *replica) { w.change("two", a); w.pass(20 * time.Second); w.change("two", b) },
		"Postgres is away": func(w *world, a, b *replica) {
			w.set(func() { w.away = true })
			w.pass(5 * time.Minute)
			w.set(func() { w.away = false })
			w.pass(2 * storeRetry)
			a.log.Reset() // of the failed heartbeats
			b.log.Reset()
		},
		"one ends": func(w *world, _, b *replica) { w.ends(b) },
		"one dies": func(w *world, _, b *replica) { w.kill(b) },
		"all change": func(w *world, a, b *replica) {
			w.joins("c", "one", "k")
			a.end()
			w.joins("d", "one", "k")
			w.kill(b)
		},
		"one comes that hears nothing at first": func(w *world, _, _ *replica) {
			c := w.joins("c", "", "k")
			w.pass(time.Minute)
			w.change("one", c)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				a, b := w.joins("a", "one", "k"), w.joins("b", "one", "k")
				w.pass(2 * time.Minute)
				scene(w, a, b)
				for range 300 {
					w.pass(time.Second)
					for _, r := range w.replicas {
						if r.lines() != "" || r.Finding() != nil {
							t.Fatalf("%s finds %v, its log is\n%s", r.own.Replica, r.Finding(), r.log.String())
						}
					}
				}
			})
		})
	}
}

func TestASplitIsKnownWhileNobodyCanSay(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b := w.joins("a", "one", "k"), w.joins("b", "two", "k")
		w.pass(time.Minute)
		w.change("", b)
		w.pass(time.Minute)
		if a.cause() != splitLayer.cause {
			t.Errorf("while the other one is deaf: %v", a.Finding())
		}
		w.joins("c", "two", "k")
		w.pass(time.Minute)
		if want := "b, c"; !strings.HasSuffix(a.Finding().Error(), want) || strings.Count(a.log.String(), "level=ERROR") != 2 {
			t.Errorf("%v, the log is\n%s", a.Finding(), a.log.String())
		}
		for _, r := range w.replicas[1:] {
			w.kill(r)
		}
		w.pass(time.Minute)
		if a.Finding() != nil || a.Summary() != "other live replicas: 0" {
			t.Errorf("when the others are gone: %v, %s", a.Finding(), a.Summary())
		}
	})
}

func TestOtherSecretsAreFound(t *testing.T) {
	inWorld(t, func(w *world) {
		gone := w.joins("gone", "one", "old")
		w.pass(time.Minute)
		w.kill(gone)
		a := w.joins("a", "one", "k", "l")
		w.pass(time.Minute)
		if a.Finding() != nil || a.lines() != "" {
			t.Errorf("one that has died before it came: %v\n%s", a.Finding(), a.log.String())
		}
		b, c := w.joins("b", "one", "other"), w.joins("c", "one", "l", "k")
		w.pass(20 * time.Second)
		if a.cause() != differentSecrets.cause || !strings.HasSuffix(a.Finding().Error(), ": b") || a.metric("roomspa_replicas_with_other_secrets") != 1 {
			t.Errorf("%v", a.Finding())
		}
		if !strings.HasSuffix(b.Finding().Error(), ": a, c") || c.cause() != differentSecrets.cause {
			t.Errorf("%v, %v", b.Finding(), c.Finding())
		}
		w.ends(b)
		w.pass(3 * time.Minute)
		if len(a.lastHeard) != 2 {
			t.Errorf("%d are remembered", len(a.lastHeard))
		}
		log := a.lines()
		if a.Finding() != nil || strings.Count(log, "level=WARN") != 1 || strings.Count(log, "JWT secrets no longer differ") != 1 {
			t.Errorf("%v\n%s", a.Finding(), log)
		}
	})
}

func TestADeploymentIsUsedWhenItChanges(t *testing.T) {
	inWorld(t, func(w *world) {
		w.set(func() { w.away = true })
		a := w.joins("a", "one", "k")
		w.pass(time.Minute)
		if len(a.used) != 0 {
			t.Fatalf("without Postgres it uses %v", a.used)
		}
		w.set(func() { w.away = false })
		w.pass(2 * storeRetry)
		w.pass(time.Minute)
		if log := a.log.String(); strings.Count(log, "level=ERROR") != 1 || strings.Count(log, "Heartbeat failed: away") != 1 || strings.Count(log, "Heartbeat stored again") != 1 {
			t.Errorf("the log is\n%s", log)
		}
		a.log.Reset()
		if len(a.used) != 1 || !a.used[0].Same(&identity) {
			t.Fatalf("it uses %v, the log is\n%s", a.used, a.log.String())
		}
		rotated, restored := identity, identity
		rotated.Keys = []event.Key{{ID: event.KeyID{2}}, identity.Keys[0]}
		w.set(func() { w.identity = rotated })
		w.pass(time.Minute)
		if len(a.used) != 2 || a.log.Len() > 0 {
			t.Errorf("after a rotation: %v\n%s", a.used, a.log.String())
		}
		restored.Timeline++
		w.set(func() { w.identity = restored })
		w.pass(time.Minute)
		if len(a.used) != 3 || a.used[2].Timeline != 2 || a.log.Len() > 0 {
			t.Errorf("after a restore: %v\n%s", a.used, a.log.String())
		}
	})
}

func TestADatabaseThatComesBackRestoredIsNoticedAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.joins("a", "one", "k")
		restored := identity
		restored.Timeline++
		for range 5 { // whatever the step of its heartbeats
			w.set(func() { w.away = true })
			w.pass(storeInterval + 3*storeRetry)
			before := len(a.used)
			w.set(func() { w.away, w.identity = false, restored })
			w.pass(2 * storeRetry)
			if n := len(a.used); n != before+1 || a.used[n-1].Timeline != restored.Timeline {
				t.Fatalf("%v after its return it uses %v", 2*storeRetry, a.used)
			}
			restored.Timeline++
		}
	})
}

func TestASuspicionLeadsToAHeartbeatAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.joins("a", "one", "k")
		w.pass(time.Second)
		restored := identity
		restored.Timeline++
		w.set(func() { w.identity = restored })
		w.suspected <- struct{}{}
		w.pass(suspicionDelay)
		if n := len(a.used); n != 2 || a.used[1].Timeline != 2 {
			t.Errorf("it uses %v", a.used)
		}
	})
}

func TestOtherDeploymentsAndWrongClocksAreFound(t *testing.T) {
	inWorld(t, func(w *world) {
		a := w.joins("a", "one", "k")
		w.set(func() { w.others = []string{"fedcba9876543210"} })
		w.pass(20 * time.Second)
		if a.cause() != redisShared.cause || !strings.HasSuffix(a.Finding().Error(), ": fedcba9876543210") {
			t.Errorf("%v", a.Finding())
		}
		w.set(func() {
			w.others = nil
			w.beats["b"] = row{room.Heartbeat{ID: "b", Replica: "b", SigningKey: "k", AcceptedKeys: []string{"k"}, ClockOffset: -6 * time.Second}, time.Now()}
		})
		w.pass(20 * time.Second)
		if a.cause() != clockSkew.cause || !strings.HasSuffix(a.Finding().Error(), ": b") {
			t.Errorf("%v", a.Finding())
		}
		w.pass(time.Minute)
		log := a.log.String()
		if a.Finding() != nil || strings.Count(log, "Redis no longer shared") != 1 || strings.Count(log, "No more clock skew") != 1 {
			t.Errorf("%v\n%s", a.Finding(), log)
		}
	})
}

func TestALineHasTenNamesAtMost(t *testing.T) {
	t.Parallel()
	many := map[string]string{}
	for i := range 26 {
		many[string(rune('A'+i))] = string(rune('a' + i))
	}
	if got, want := names(many), "a, b, c, d, e, f, g, h, i, j, and 16 more"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Replicas use sharded Pub/Sub while each live one says that it can.
func TestShardedPubSubNeedsAllReplicas(t *testing.T) {
	inWorld(t, func(w *world) {
		refusal := func(r *replica) (text string) {
			w.set(func() {
				if r.refusal != nil {
					text = r.refusal.Error()
				}
			})
			return text
		}
		a := w.joins("a", "one", "key")
		if got := refusal(a); got != "" {
			t.Errorf("alone: %s", got)
		}
		b := w.joins("b", "one", "key")
		w.set(func() { b.cannotShard = errors.New("NOPERM") }) // an earlier release does not say that it can, either
		w.pass(2 * storeInterval)
		if got := refusal(a); !strings.HasSuffix(got, "refuses it to them: b") {
			t.Errorf("beside b: %q", got)
		}
		if got := refusal(b); got != "NOPERM" {
			t.Errorf("b itself: %q", got)
		}
		w.ends(b)
		w.pass(storeInterval)
		if got := refusal(a); got != "" {
			t.Errorf("after b: %s", got)
		}
	})
}
