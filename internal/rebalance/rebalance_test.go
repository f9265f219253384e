package rebalance

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/fleet"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// A world is replicas that hear each other, and clients that reconnect where the load
// balancer sends them. It lives in a synctest bubble, where ten minutes pass at once.
type world struct {
	t       *testing.T
	chance  *rand.Rand
	land    func(*world) *member
	coming  sync.WaitGroup
	running sync.WaitGroup
	ctx     context.Context //nolint:containedctx // of one test

	mu      sync.Mutex
	members []*member
	deaf    bool // Redis carries nothing
}

// A member is a replica. It is its rebalancer's registry of sockets, and its fleet's
// channel layer and store.
type member struct {
	world    *world
	balancer *Rebalancer
	log      bytes.Buffer
	stop     context.CancelFunc
	id       event.ProcessID
	counter  uint64 // of the last event
	hear     func(event.Event)
	sockets  int
	ready    bool
	draining bool
	inHand   bool // every socket has something in hand
	sheds    []time.Time
	peak     int
}

func (m *member) Join(_ context.Context, _ string, deliver func(event.Event), _ func(bool)) (func(), error) {
	m.set(func() { m.hear = deliver })
	return func() { m.set(func() { m.hear = nil }) }, nil
}

func (m *member) Use(event.Deployment)           {}
func (m *member) CanShard(context.Context) error { return nil }
func (m *member) UseSharded(error)               {}
func (m *member) ExchangeDeployments() []string  { return nil }

func (m *member) Publish(_ string, body event.Body, done func(error)) {
	m.world.mu.Lock()
	var heard []func(event.Event)
	m.counter++
	counter := m.counter
	for _, o := range m.world.members {
		if o.hear != nil && !m.world.deaf {
			heard = append(heard, o.hear)
		}
	}
	m.world.mu.Unlock()
	for _, hear := range heard {
		hear(event.Event{Kind: body.Kind(), Sender: m.id, Counter: counter, At: time.Now(), Body: body.AppendTo(nil)})
	}
	if done != nil {
		done(nil)
	}
}

func (m *member) Heartbeat(context.Context, room.Heartbeat, time.Duration) (d event.Deployment, others []room.Heartbeat, err error) {
	return d, nil, nil
}

func (m *member) DeleteHeartbeat(context.Context, string) error { return nil }

func (m *member) RestoreSuspected() <-chan struct{} { return nil }

func (m *member) SignedIn() (n int)    { m.set(func() { n = m.sockets }); return n }
func (m *member) Draining() (yes bool) { m.set(func() { yes = m.draining }); return yes }
func (m *member) isReady() (yes bool)  { m.set(func() { yes = m.ready }); return yes }

// Shed sends a client away, who comes back somewhere.
func (m *member) Shed(c *frame.Close) (done bool) {
	m.set(func() {
		if done = m.sockets > 0 && !m.inHand; done {
			m.sockets--
			m.sheds = append(m.sheds, time.Now())
		}
	})
	if done {
		m.world.arrives(c.After + 50*time.Millisecond)
	}
	return done
}

func (m *member) set(f func()) {
	m.world.mu.Lock()
	defer m.world.mu.Unlock()
	f()
}

// arrives lets a client come in a while.
func (f *world) arrives(in time.Duration) {
	f.coming.Go(func() {
		<-time.After(in)
		f.mu.Lock()
		defer f.mu.Unlock()
		m := f.land(f)
		m.sockets++
		m.peak = max(m.peak, m.sockets)
	})
}

func takes(m *member) bool { return m.ready && !m.draining }

// anywhere is a balancer that takes one by chance.
func anywhere(f *world) *member {
	for {
		if m := f.members[f.chance.IntN(len(f.members))]; takes(m) {
			return m
		}
	}
}

// emptiest is one that counts connections.
func emptiest(f *world) (best *member) {
	for _, m := range f.members {
		if takes(m) && (best == nil || m.sockets < best.sockets) {
			best = m
		}
	}
	return best
}

// joins adds replicas with so many sockets each.
func (f *world) joins(rate float64, sockets ...int) (added []*member) {
	for _, n := range sockets {
		m := &member{world: f, id: event.NewProcess().ID(), sockets: n, ready: true, peak: n}
		log, reg := slog.New(slog.NewTextHandler(&m.log, nil)), prometheus.NewRegistry()
		replicas := fleet.New(fmt.Sprint("replica-", len(f.members)), m.id, func() []string { return []string{"key"} }, m, m, log, reg)
		o := Options{Rate: rate, Threshold: 0.2, CheckReady: func(context.Context) bool { return m.isReady() }, Ready: m.isReady}
		m.balancer = New(o, replicas, m, log, reg)
		ctx, cancel := context.WithCancel(f.ctx)
		m.stop = cancel
		f.mu.Lock()
		f.members = append(f.members, m)
		f.mu.Unlock()
		f.running.Go(func() { replicas.Run(ctx) })
		f.running.Go(func() { m.balancer.Run(ctx) })
		added = append(added, m)
		var in time.Duration
		m.set(func() { in = time.Duration(f.chance.Int64N(int64(roundInterval))) })
		<-time.After(in) // their rounds are not in step
	}
	return added
}

// inWorld runs a test over replicas in a synctest bubble.
func inWorld(t *testing.T, land func(*world) *member, test func(*world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		f := &world{t: t, chance: rand.New(rand.NewPCG(1, 2)), land: land, ctx: ctx} //nolint:gosec // the same every time
		test(f)
		cancel()
		f.running.Wait()
		f.coming.Wait()
	})
}

// ratio is the fullest replica against the emptiest one.
func (f *world) ratio() float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	lowest, highest := f.members[0].sockets, 0
	for _, m := range f.members {
		lowest, highest = min(lowest, m.sockets), max(highest, m.sockets)
	}
	return float64(highest) / float64(max(1, lowest))
}

func (f *world) counts() (all []int, sheds int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.members {
		all = append(all, m.sockets)
		sheds += len(m.sheds)
	}
	return all, sheds
}

// capped fails the test if some replica has shed more in a second than it may.
func (f *world) capped(rate float64) {
	f.t.Helper()
	for i, m := range f.members {
		for j := range m.sheds {
			k := j
			for k < len(m.sheds) && m.sheds[k].Sub(m.sheds[j]) < time.Second {
				k++
			}
			if float64(k-j) > max(1, rate) {
				f.t.Fatalf("replica %d has shed %d sockets in one second, at most %g are allowed", i, k-j, rate)
			}
		}
	}
}

func TestThreeEmptyReplicasAreFilled(t *testing.T) {
	for name, c := range map[string]struct {
		land   func(*world) *member
		rate   float64
		within time.Duration
	}{
		"by chance":                         {anywhere, 10, 4 * time.Minute},
		"the emptiest first":                {emptiest, 10, 3 * time.Minute},
		"fast, by chance":                   {anywhere, 50, 3 * time.Minute},
		"as fast as it can, by chance":      {anywhere, 1000, 3 * time.Minute},
		"as fast as it can, the emptiest":   {emptiest, 1000, 2 * time.Minute},
		"slowly, to wherever there is room": {emptiest, 2, 8 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, c.land, func(f *world) {
				f.joins(c.rate, 1000, 1000, 1000)
				<-time.After(2 * time.Minute)
				if _, sheds := f.counts(); sheds != 0 {
					t.Fatalf("%d sockets were shed while all held the same", sheds)
				}
				f.joins(c.rate, 0, 0, 0)
				began := time.Now()
				for f.ratio() >= 1.3 {
					if time.Since(began) > c.within {
						all, sheds := f.counts()
						t.Fatalf("after %v: %v, %d were shed", c.within, all, sheds)
					}
					<-time.After(time.Second)
				}
				took := time.Since(began)
				<-time.After(2 * time.Minute) // the last few
				all, sheds := f.counts()
				t.Logf("even after %v: %v, %d were shed", took, all, sheds)
				for range 600 {
					<-time.After(time.Second)
					if r := f.ratio(); r >= 1.3 {
						t.Fatalf("the ratio is %g again", r)
					}
				}
				if _, later := f.counts(); later != sheds {
					t.Errorf("%d more were shed in the ten minutes after", later-sheds)
				}
				f.capped(c.rate)
				for i, m := range f.members[3:] {
					if len(m.sheds) != 0 || m.peak > 600 {
						t.Errorf("new replica %d has shed %d, and held up to %d", i, len(m.sheds), m.peak)
					}
				}
				if log := f.members[0].log.String(); strings.Count(log, "Rebalancing started") != 1 || strings.Count(log, "Rebalancing stopped: connections are close to the mean") != 1 {
					t.Errorf("the log of the first:\n%s", log)
				}
			})
		})
	}
}

// Clients come and go: what the balance has reached is not shaken by that.
func TestChurnMovesNobody(t *testing.T) {
	inWorld(t, anywhere, func(f *world) {
		f.joins(10, 500, 500, 500, 500, 500, 500)
		for range 1800 { // half an hour, in which each client is replaced twice or so
			<-time.After(time.Second)
			for range 4 {
				f.mu.Lock()
				f.members[f.chance.IntN(len(f.members))].sockets--
				in := time.Duration(f.chance.Int64N(int64(time.Second)))
				f.mu.Unlock()
				f.arrives(in)
			}
		}
		if all, sheds := f.counts(); sheds != 0 {
			t.Errorf("%d were shed: %v", sheds, all)
		}
	})
}

func TestNothingIsShedDuringADrainAndItsWake(t *testing.T) {
	inWorld(t, anywhere, func(f *world) {
		f.joins(10, 1000, 1000, 0)
		<-time.After(settleTime + minRounds*roundInterval + 20*time.Second)
		_, before := f.counts()
		if before == 0 {
			t.Fatal("nothing was shed at all")
		}
		leaving := f.members[0]
		leaving.set(func() { leaving.draining = true })
		leaving.balancer.Leave() // all know at once
		synctest.Wait()
		_, before = f.counts()
		for range 20 { // the drain
			leaving.set(func() { leaving.sockets -= 40 })
			for range 40 {
				f.arrives(time.Second)
			}
			<-time.After(time.Second)
		}
		leaving.stop()
		<-time.After(maxAge) // until it is not heard of any more
		_, during := f.counts()
		if during != before {
			t.Errorf("%d were shed during the drain", during-before)
		}
		leaving.set(func() { leaving.ready = false })
		<-time.After(5 * time.Minute)
		leaving.set(func() { f.members = f.members[1:] })
		if r := f.ratio(); r >= 1.3 {
			all, _ := f.counts()
			t.Errorf("even in the end? %v", all)
		}
	})
}

func TestNothingIsShedDuringAnOutage(t *testing.T) {
	for name, trouble := range map[string]func(*world, bool){
		"of one replica's dependency": func(f *world, on bool) { f.members[1].set(func() { f.members[1].ready = !on }) },
		"of its own":                  func(f *world, on bool) { f.members[0].set(func() { f.members[0].ready = !on }) },
		"in which nobody is heard":    func(f *world, on bool) { f.members[0].set(func() { f.deaf = on }) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, anywhere, func(f *world) {
				f.joins(1, 600, 600, 0)
				<-time.After(settleTime + minRounds*roundInterval + 20*time.Second)
				trouble(f, true)
				<-time.After(maxAge + roundInterval) // the last to know
				_, before := f.counts()
				<-time.After(10 * time.Minute)
				if _, after := f.counts(); after != before || before == 0 {
					t.Errorf("%d were shed before, %d during the outage", before, after-before)
				}
				trouble(f, false)
				<-time.After(settleTime)
				_, still := f.counts()
				<-time.After(15 * time.Minute)
				if _, after := f.counts(); still != before || after == before {
					t.Errorf("%d were shed right after the outage, %d later", still-before, after-still)
				}
			})
		})
	}
}

func TestWhoHasSomethingInHandStays(t *testing.T) {
	inWorld(t, anywhere, func(f *world) {
		m := f.joins(10, 1000, 0)[0]
		m.set(func() { m.inHand = true })
		<-time.After(5 * time.Minute)
		if all, sheds := f.counts(); sheds != 0 || !slices.Equal(all, []int{1000, 0}) {
			t.Errorf("%d were shed: %v", sheds, all)
		}
	})
}

func TestWithARateOf0CountsAreSharedAndNothingIsShed(t *testing.T) {
	inWorld(t, anywhere, func(f *world) {
		m := f.joins(0, 1000, 0)[0]
		<-time.After(5 * time.Minute)
		if _, sheds := f.counts(); sheds != 0 {
			t.Errorf("%d were shed", sheds)
		}
		if len(m.balancer.loads) != 2 || strings.Contains(m.log.String(), "Rebalancing started") {
			t.Errorf("%d replicas are known; the log says:\n%s", len(m.balancer.loads), m.log.String())
		}
	})
}

func TestALoadThatMakesNoSenseIsIgnored(t *testing.T) {
	t.Parallel()
	log, reg := slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	r := New(Options{}, fleet.New("a", event.ProcessID{}, nil, nil, nil, log, reg), nil, log, reg)
	r.receive(event.ProcessID{1}, event.Load{Sockets: -1})
	if len(r.loads) != 0 {
		t.Errorf("counted: %v", r.loads)
	}
}
