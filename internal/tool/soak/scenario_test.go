package soak

import (
	"sync"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/judge"
)

// Every fault that a soak knows is also a scenario of its own, which is small
// enough for every test run: everybody talks, one thing breaks and is mended, and
// the judge says whether anybody lost anything.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		needs      world.Need
		kind       kind
		lasts      time.Duration
		seed       uint64 // of what the kind leaves open
		reconnects bool   // sockets do not outlive it
	}{
		"a replica is killed":                     {needs: processes, kind: replicaKill, lasts: 500 * time.Millisecond, reconnects: true},
		"a replica stands still":                  {needs: processes, kind: replicaStop, lasts: 2 * time.Second},
		"a replica is stopped and started again":  {needs: processes, kind: replicaRestart, reconnects: true},
		"Redis is restarted":                      {needs: world.OwnRedis, kind: redisRestart},
		"Redis is killed":                         {needs: world.OwnRedis, kind: redisKill, lasts: time.Second},
		"Redis stands still":                      {needs: world.OwnRedis, kind: redisStop, lasts: 4500 * time.Millisecond},
		"Redis kills the subscribers":             {needs: world.OwnRedis, kind: redisClients, seed: 1},
		"Redis kills who publishes":               {needs: world.OwnRedis, kind: redisClients, seed: 2},
		"Postgres is restarted":                   {needs: world.OwnPostgres, kind: pgRestart},
		"Postgres is killed":                      {needs: world.OwnPostgres, kind: pgKill, lasts: 500 * time.Millisecond},
		"Postgres stands still":                   {needs: world.OwnPostgres, kind: pgStop, lasts: 3 * time.Second},
		"the answers to commits are lost":         {kind: lostCommit, lasts: 200 * time.Millisecond},
		"the link to Redis is cut":                {kind: redisCut, lasts: time.Second},
		"the link to Redis stalls":                {kind: redisStall, lasts: 4 * time.Second},
		"the link to Redis is slow":               {kind: redisDelay, lasts: 2 * time.Second},
		"the link to Redis loses messages":        {kind: redisLoss, lasts: 2 * time.Second},
		"the link to Postgres is cut":             {kind: pgCut, lasts: time.Second},
		"the link to Postgres stalls":             {kind: pgStall, lasts: 3 * time.Second},
		"the link to Postgres is slow":            {kind: pgDelay, lasts: 2 * time.Second},
		"the link to the clients is cut":          {kind: clientCut, lasts: 300 * time.Millisecond},
		"the link to the clients stalls":          {kind: clientStall, lasts: 3 * time.Second},
		"the link to the clients is slow":         {kind: clientDelay, lasts: 2 * time.Second},
		"clients vanish, some of them silently":   {kind: vanish, lasts: 500 * time.Millisecond, reconnects: true},
		"clients stop reading, or nearly stop to": {kind: slow, lasts: 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, c.needs|apps)
			s.talk(t)
			s.fault(t, c.kind, 0, c.lasts, c.seed)
			s.acknowledge(t, 25)
			v := s.verdict(t)
			if c.reconnects && v.Reconnects == 0 {
				t.Error("nobody had to reconnect: it was not broken")
			}
			if v.Messages < 50 {
				t.Errorf("only %d messages: that shows nothing", v.Messages)
			}
			if v.Classic.Answered < 10 || v.Classic.Paged != v.Stored {
				t.Errorf("the apps of the predecessor did too little: %+v", v.Classic)
			}
		})
	}
}

func TestAppsOfThePredecessorMissNothingWhileAReplicaIsRestarted(t *testing.T) {
	s := newScene(t, processes|apps)
	s.talk(t)
	s.fault(t, replicaRestart, 0, 0, 0)
	s.acknowledge(t, 25)
	v := s.verdict(t)
	if c := v.Classic; c.Clients != len(classicSeats) || c.Received < 100 || c.Answered < 10 || c.Paged != v.Stored {
		t.Errorf("that shows nothing: %+v of %d messages", c, v.Stored)
	}
}

// The last message of a room leaves no hole behind it: who is to see it must look
// for it.
func TestAMessageIsSeenWhoseReplicaDiedBetweenCommitAndPublish(t *testing.T) {
	s := newScene(t, processes)
	s.pin(t, "room01-a", 0)
	for _, other := range s.crowd.devices[1:] {
		s.pin(t, other.name, 1)
	}
	r, a := s.replicas[0], s.crowd.devices[0]
	r.redis.StallUp() // what it publishes does not arrive
	if err := a.send("the last one"); err != nil {
		t.Fatal(err)
	}
	s.acknowledge(t, 1)
	if err := r.program.Kill(); err != nil {
		t.Fatal(err)
	}
	r.redis.Cut() // and never will
	s.runner.faults = append(s.runner.faults, judge.Fault{Kind: string(replicaKill), Ended: time.Now().UnixMicro()})
	a.network.pin(s.replicas[1].front.Addr())
	if v := s.verdict(t); v.Messages != 1 || v.Reconnects < 1 {
		t.Errorf("%d messages, %d reconnects", v.Messages, v.Reconnects)
	}
}

func TestNothingIsLostWhileBothStoresAreAway(t *testing.T) {
	for name, kinds := range map[string][2]kind{
		"killed":      {redisKill, pgKill},
		"stand still": {redisStop, pgStop},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, world.OwnRedis|world.OwnPostgres)
			s.talk(t)
			var both sync.WaitGroup
			for _, k := range kinds {
				both.Go(func() { s.fault(t, k, 0, 2*time.Second, 1) })
			}
			both.Wait()
			s.acknowledge(t, 25)
			s.verdict(t)
		})
	}
}

// pin moves a device to one replica.
func (s *scene) pin(t *testing.T, name string, replica int) {
	t.Helper()
	for _, d := range s.crowd.devices {
		if d.name == name {
			sockets := d.sockets.Load()
			d.network.pin(s.replicas[replica].front.Addr())
			d.drop()
			world.Eventually(t, name+" is on its replica", func() (bool, any) { return d.sockets.Load() > sockets, nil })
		}
	}
}

// pin lets the gate lead to one address only.
func (n *network) pin(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.direct, n.addrs = false, func(bool) []string { return []string{addr} }
}
