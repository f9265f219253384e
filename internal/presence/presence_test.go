package presence_test

import (
	"slices"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/presence"
	"github.com/roomspa/roomspa/internal/room"
)

// never is longer than a test.
const never = time.Hour

func TestAUserIsOnlineAtOnceOnTheOtherReplica(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a, b := s.start(t, presence.Options{Poll: never, Tick: never}), s.start(t, presence.Options{Poll: never, Tick: never})
	seen, here := b.watch(t, 1), a.watch(t, 1)
	closed := a.Open(1, false)
	defer closed()
	seen.wait(t, true)
	here.wait(t, true)
	if late := b.watch(t, 1).now(); !late.Online || late.Inbox {
		t.Errorf("a later watcher sees %+v", late)
	}
	c := s.start(t, presence.Options{})
	if late := c.watch(t, 1).now(); !late.Online {
		t.Errorf("a later replica sees %+v", late)
	}
	if other := c.watch(t, 2).now(); other != (presence.State{}) {
		t.Errorf("nobody has seen user 2, but: %+v", other)
	}
}

func TestAUserGoesOfflineAfterTheGrace(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a, b := s.start(t, presence.Options{}), s.start(t, presence.Options{Poll: never})
	seen := b.watch(t, 1)
	first, second := a.Open(1, false), a.Open(1, false)
	seen.wait(t, true)
	first()
	first()
	seen.stays(t, 2*short.Grace)
	began := time.Now()
	second()
	seen.wait(t, false)
	if took := time.Since(began); took < short.Grace {
		t.Errorf("offline after %v, within the grace", took)
	}
	if got := seen.now().LastSeen; time.Since(got) > 2*time.Minute || got.Second() != 0 || got.Nanosecond() != 0 {
		t.Errorf("last seen %v", got)
	}
	if got := s.start(t, presence.Options{}).watch(t, 1).now(); got.Online || !got.LastSeen.Equal(seen.now().LastSeen) {
		t.Errorf("a later replica sees %+v", got)
	}
}

func TestNothingFlaps(t *testing.T) {
	t.Parallel()
	type setting struct{ a, b, c *replica } // c watches
	for name, act := range map[string]func(t *testing.T, s setting, closed func()){
		"when a client reconnects to the same replica": func(t *testing.T, s setting, closed func()) {
			for range 5 {
				closed()
				<-time.After(short.Grace / 2)
				closed = s.a.Open(1, false)
			}
			t.Cleanup(closed)
		},
		"when a client reconnects to another replica": func(t *testing.T, s setting, closed func()) {
			closed()
			<-time.After(short.Grace / 2)
			t.Cleanup(s.b.Open(1, false))
		},
		"when one of two replicas loses its socket": func(t *testing.T, s setting, closed func()) {
			t.Cleanup(s.b.Open(1, false))
			<-time.After(short.Cycle)
			closed()
		},
		"when a replica drains": func(t *testing.T, s setting, closed func()) {
			s.a.Drain(time.Second)
			closed()
			s.a.stop()
			<-time.After(time.Second + short.Grace/2)
			t.Cleanup(s.b.Open(1, false))
		},
		"when a replica stops with open sockets": func(t *testing.T, s setting, _ func()) {
			s.a.stop()
			<-time.After(short.Grace / 2)
			t.Cleanup(s.b.Open(1, false))
		},
		"when a replica is killed and the client reconnects": func(t *testing.T, s setting, _ func()) {
			s.a.kill()
			<-time.After(short.Life / 4)
			t.Cleanup(s.b.Open(1, false))
		},
		"when two replicas write at the same time": func(t *testing.T, s setting, closed func()) {
			others := []func(){s.b.Open(1, false), s.c.Open(1, false)}
			<-time.After(short.Grace)
			closed()
			others[0]()
			t.Cleanup(others[1])
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := newServer(t)
			s := setting{server.start(t, presence.Options{}), server.start(t, presence.Options{}), server.start(t, presence.Options{})}
			seen := s.c.watch(t, 1)
			closed := s.a.Open(1, false)
			seen.wait(t, true)
			act(t, s, closed)
			seen.stays(t, short.Life+short.Poll+short.Grace)
		})
	}
}

func TestAUserOfAKilledReplicaExpires(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a, b := s.start(t, presence.Options{}), s.start(t, presence.Options{})
	seen := b.watch(t, 1)
	a.Open(1, true)
	seen.wait(t, true)
	seen.stays(t, 2*short.Life) // it is renewed
	a.kill()
	began := time.Now()
	seen.wait(t, false)
	if took := time.Since(began); took < short.Life-2*short.Renew {
		t.Errorf("expired after %v", took)
	}
	if n := b.events.Load(); n != 0 {
		t.Errorf("%d events", n)
	}
	if got := seen.now(); got.Inbox || got.LastSeen.IsZero() {
		t.Errorf("the state is %+v", got)
	}
}

func TestAReadRepairsALostEvent(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a, b := s.start(t, presence.Options{}), s.start(t, presence.Options{})
	a.mute.Store(true)
	seen := b.watch(t, 1)
	closed := a.Open(1, false)
	seen.wait(t, true)
	closed()
	seen.wait(t, false)
}

func TestALostUpdateIsRepaired(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a, b := s.start(t, presence.Options{Renew: never}), s.start(t, presence.Options{})
	a.mute.Store(true)
	// An entry that a has verified before it is removed is not written again here.
	for user := range room.UserID(10) {
		defer a.Open(user+1, false)()
		waitSaved(t, a, user+1)
		removeEntry(t, b, user+1) // as a replica that has read before it was written
		seen := b.watch(t, user+1)
		for began := time.Now(); time.Since(began) < 2*short.Cycle+2*short.Poll; <-time.After(5 * time.Millisecond) {
			if seen.now().Online {
				return
			}
		}
	}
	t.Error("none of ten entries was written again")
}

func TestTheRegistryKnowsWhoHasAnInbox(t *testing.T) {
	t.Parallel()
	for _, off := range []bool{false, true} {
		s := newServer(t)
		a, b := s.start(t, presence.Options{Off: off}), s.start(t, presence.Options{Off: off, Poll: never})
		if a.Enabled() == off {
			t.Errorf("enabled: %v, off: %v", a.Enabled(), off)
		}
		seen := b.watch(t, 1)
		chat := a.Open(1, false)
		inbox := a.Open(1, true)
		waitInbox(t, seen, true)
		inbox()
		waitInbox(t, seen, false)
		if seen.now().Online == off {
			t.Errorf("with presence off %v the user is %+v", off, seen.now())
		}
		chat()
	}
}

func TestASocketMayCloseAfterTheRegistry(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a, b := s.start(t, presence.Options{}), s.start(t, presence.Options{})
	seen := b.watch(t, 1)
	closed := a.Open(1, false)
	seen.wait(t, true)
	a.stop()
	closed()
}

func TestAWatcherThatHasStoppedIsToldNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a, b := s.start(t, presence.Options{}), s.start(t, presence.Options{})
	ended := &log{}
	_, stop := b.Watch(1, ended.add)
	stop()
	stop()
	seen := b.watch(t, 1)
	defer a.Open(1, false)()
	seen.wait(t, true)
	if got := ended.onlines(); slices.Contains(got, true) {
		t.Errorf("a watcher that has stopped was told %v", got)
	}
}
