package presence_test

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/channel"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/fleet"
	"github.com/roomspa/roomspa/internal/presence"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// short are the durations of the tests: about a twentieth of the real ones.
var short = presence.Options{
	Grace: 600 * time.Millisecond, Life: 3 * time.Second, Renew: time.Second, Poll: 500 * time.Millisecond,
	Cycle: 250 * time.Millisecond, Tick: 50 * time.Millisecond, Announce: 20 * time.Millisecond,
}

// A server is the Redis of a test.
type server struct{ url, prefix string }

func newServer(t testing.TB) server {
	t.Helper()
	url, prefix := world.Redis(t)
	return server{url, prefix}
}

func (s server) open(t testing.TB) *redis.Client {
	t.Helper()
	c, err := redis.Open(redis.Options{URL: s.url, Prefix: s.prefix, Timeout: world.Limit}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// A replica has a registry, and the parts that it needs. It can be killed, and be made to lose
// its events.
type replica struct {
	*presence.Registry
	*channel.Layer
	*redis.Presence
	client *redis.Client

	mute, dead atomic.Bool
	events     atomic.Int64 // presence events
	users      atomic.Int64 // in them
	stop       func()       // ends the registry as a shutdown does
}

func (s server) start(t testing.TB, o presence.Options) *replica {
	t.Helper()
	o = presence.Options{
		Off: o.Off, Grace: cmp.Or(o.Grace, short.Grace), Life: cmp.Or(o.Life, short.Life), Renew: cmp.Or(o.Renew, short.Renew),
		Poll: cmp.Or(o.Poll, short.Poll), Cycle: cmp.Or(o.Cycle, short.Cycle), Tick: cmp.Or(o.Tick, short.Tick),
		Announce: cmp.Or(o.Announce, short.Announce),
	}
	log := slog.New(slog.DiscardHandler)
	r := &replica{client: s.open(t)}
	r.Presence, r.Layer = r.client.Presence, channel.New(r.client, log, nil)
	f := fleet.New("test", r.client.Process(), func() []string { return []string{"key"} }, r, r, log, nil)
	r.Registry = presence.New(o, f, r, nil)

	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() { r.Layer.Run(ctx) })
	running.Go(func() { f.Run(ctx) })
	registry, stop := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.Registry.Run(registry)
	}()
	r.stop = func() {
		stop()
		<-stopped
	}
	t.Cleanup(func() {
		r.stop()
		cancel()
		running.Wait()
	})
	world.Eventually(t, "the layer is up", func() (bool, any) {
		_, err := r.Health()
		return err == nil, err
	})
	leave, err := r.Join(t.Context(), "control", func(event.Event) {}, func(bool) {}) // the fleet has joined then, too
	if err != nil {
		t.Fatal(err)
	}
	leave()
	return r
}

// kill makes the replica do nothing any more, as if its process were gone.
func (r *replica) kill() {
	r.dead.Store(true)
	r.mute.Store(true)
}

func (r *replica) Publish(group string, body event.Body, done func(error)) {
	p, is := body.(event.Presence)
	if is && r.mute.Load() {
		return
	}
	if is {
		r.events.Add(1)
		r.users.Add(int64(len(p.Users)))
	}
	r.Layer.Publish(group, body, done)
}

var errDead = errors.New("the replica is dead")

func (r *replica) Load(ctx context.Context, users []room.UserID) (map[room.UserID]event.Online, error) {
	if r.dead.Load() {
		return nil, errDead
	}
	return r.Presence.Load(ctx, users)
}

func (r *replica) Save(ctx context.Context, entries map[room.UserID]event.Online) error {
	if r.dead.Load() {
		return errDead
	}
	return r.Presence.Save(ctx, entries)
}

// Heartbeat and the two methods after it implement fleet.Store: there is always a deployment.
func (r *replica) Heartbeat(context.Context, room.Heartbeat, time.Duration) (event.Deployment, []room.Heartbeat, error) {
	return world.Deployment, nil, nil
}

func (r *replica) RestoreSuspected() <-chan struct{} { return nil }

func (r *replica) DeleteHeartbeat(context.Context, string) error { return nil }

// A log is what a watcher was told.
type log struct {
	mu     sync.Mutex
	states []presence.State
	times  []time.Time
}

// watch watches a user and waits until the state is known, which is the first of the log.
func (r *replica) watch(t testing.TB, user room.UserID) *log {
	t.Helper()
	l := &log{}
	now, stop := r.Watch(user, l.add)
	t.Cleanup(stop)
	l.mu.Lock()
	if len(l.states) == 0 && now != (presence.State{}) {
		l.states, l.times = []presence.State{now}, []time.Time{time.Now()}
	}
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), world.Limit)
	defer cancel()
	r.Wait(ctx, user)
	if ctx.Err() != nil {
		t.Fatal("the state was not read in time")
	}
	return l
}

func (l *log) add(s presence.State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.states, l.times = append(l.states, s), append(l.times, time.Now())
}

func (l *log) now() presence.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.states) == 0 {
		return presence.State{}
	}
	return l.states[len(l.states)-1]
}

// onlines returns what was said of Online.
func (l *log) onlines() (list []bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.states {
		list = append(list, s.Online)
	}
	return slices.Compact(list)
}

func (l *log) wait(t testing.TB, online bool) {
	t.Helper()
	world.Eventually(t, "the user is online or not", func() (bool, any) { return l.now().Online == online, l.now() })
}

// stays fails the test if the user goes offline within d.
func (l *log) stays(t testing.TB, d time.Duration) {
	t.Helper()
	<-time.After(d)
	if got := l.onlines(); !slices.Equal(got, []bool{true}) {
		t.Errorf("the watcher was told %v", got)
	}
}
