package soak

import (
	"fmt"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/judge"
)

// newRewound returns a scene of a deployment with a Postgres of its own, whose devices are
// spread over both replicas.
func newRewound(t *testing.T, prepare func(*deployment)) *scene {
	t.Helper()
	s := newSceneWith(t, world.OwnPostgres, prepare)
	s.spread(t)
	return s
}

// spread moves every other device to the second replica.
func (s *scene) spread(t *testing.T) {
	t.Helper()
	for i, d := range s.crowd.devices {
		s.pin(t, d.name, i%len(s.replicas))
	}
	s.waitConnected(t)
}

// identity returns the id and the timeline of the deployment.
func (s *scene) identity(t *testing.T) (id string, timeline int64) {
	t.Helper()
	text := world.Query[string](t, s.world, "SELECT id || ' ' || timeline FROM roomspa.deployment")
	if _, err := fmt.Sscanf(text, "%s %d", &id, &timeline); err != nil {
		t.Fatal(err)
	}
	return id, timeline
}

// steady returns the devices that keep their socket until the call of the function that is
// returned. That function checks that each of them was reset so many times.
func (s *scene) steady() (check func(t *testing.T, resets int64)) {
	sockets, before := map[*device]int64{}, map[*device]int64{}
	for _, d := range s.crowd.devices {
		sockets[d], before[d] = d.sockets.Load(), d.resets.Load()
	}
	return func(t *testing.T, resets int64) {
		t.Helper()
		for _, d := range s.crowd.devices {
			if n := d.resets.Load() - before[d]; d.sockets.Load() == sockets[d] && n != resets {
				t.Errorf("%s was reset %d times on one socket, want %d", d.name, n, resets)
			}
		}
	}
}

// waitReset waits until every device was reset since the call of the function before.
func (s *scene) waitReset(t *testing.T, n int64) {
	t.Helper()
	world.Eventually(t, "all are reset", func() (bool, any) {
		var missing []string
		for _, d := range s.crowd.devices {
			if d.resets.Load() < n {
				missing = append(missing, d.name)
			}
		}
		return len(missing) == 0, missing
	})
}

// waitHeartbeats waits until every replica has stored n more heartbeats.
func (s *scene) waitHeartbeats(t *testing.T, n int) {
	t.Helper()
	for range n {
		now := world.Query[time.Time](t, s.world, "SELECT clock_timestamp()")
		world.Eventually(t, "each replica stores a heartbeat", func() (bool, any) {
			n := world.Query[int](t, s.world, "SELECT count(*) FROM roomspa.replicas WHERE seen_at > $1", now)
			return n == len(s.replicas), n
		})
	}
}

// rewound is the number of messages that the tests lose: more than are stored until the loss
// is noticed, so that no number reaches the old cursors.
const rewound = 150

func TestABackupIsRestoredUnderOpenSockets(t *testing.T) {
	s := newRewound(t, nil)
	check := s.steady()
	s.talk(t)
	id, timeline := s.identity(t)
	backup, err := s.backUp(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.acknowledge(t, rewound)
	s.rewind(t, func() error { return s.restore(t.Context(), backup) })
	s.sendBelow(t)
	s.waitReset(t, 1)
	s.talk(t)
	s.waitHeartbeats(t, 1)
	if again, now := s.identity(t); again != id || now != timeline+1 {
		t.Errorf("deployment %s on timeline %d, want %s on timeline %d", again, now, id, timeline+1)
	}
	s.verdict(t)
	check(t, 1)
}

func TestABackupWithoutTheConversationIsRestored(t *testing.T) {
	var backup string
	s := newRewound(t, func(d *deployment) {
		var err error
		if backup, err = d.backUp(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	s.talk(t)
	s.acknowledge(t, rewound)
	before := world.Query[string](t, s.world, "SELECT id::text FROM roomspa.conversations")
	s.rewind(t, func() error { return s.restore(t.Context(), backup) })
	s.waitReset(t, 1)
	s.talk(t)
	if now := world.Query[string](t, s.world, "SELECT id::text FROM roomspa.conversations"); now == before {
		t.Error("the conversation is still there")
	}
	s.verdict(t)
}

// sendBelow sends a few messages, whose numbers are below the cursors of sockets that have
// not noticed yet.
func (s *scene) sendBelow(t *testing.T) {
	t.Helper()
	for _, d := range s.crowd.devices {
		if d.rate > 0 {
			world.Eventually(t, d.name+" sends", func() (bool, any) {
				err := d.send(d.name + "-below") // fails while too many of its messages wait
				return err == nil, err
			})
		}
	}
	s.acknowledge(t, senders)
}

func TestADatabaseIsReplacedByACopy(t *testing.T) {
	s := newRewound(t, nil)
	check := s.steady()
	s.talk(t)
	id, _ := s.identity(t)
	s.rewind(t, func() error { return s.replace(t.Context()) })
	s.waitReset(t, 1)
	s.talk(t)
	if now, _ := s.identity(t); now == id {
		t.Errorf("the copy has the deployment id of the original, %s", id)
	}
	s.verdict(t)
	check(t, 1)
}

// TestTwoRestoresInARow restores the same backup again as soon as one replica has noticed
// the first time.
func TestTwoRestoresInARow(t *testing.T) {
	s := newRewound(t, nil)
	s.talk(t)
	_, timeline := s.identity(t)
	backup, err := s.backUp(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.acknowledge(t, rewound)
	s.rewind(t, func() error {
		s.quiet()
		if err := s.restore(t.Context(), backup); err != nil {
			return err
		}
		world.Eventually(t, "a replica notices", func() (bool, any) {
			_, now := s.identity(t)
			return now > timeline, now
		})
		s.sendBelow(t)
		return s.restore(t.Context(), backup)
	})
	world.Eventually(t, "the timeline is raised again", func() (bool, any) {
		_, now := s.identity(t)
		return now > timeline, now
	})
	s.waitHeartbeats(t, 2) // both have noticed
	s.talk(t)
	s.verdict(t)
}

func TestAPlainRestartOfPostgresResetsNobody(t *testing.T) {
	s := newRewound(t, nil)
	check := s.steady()
	s.talk(t)
	id, timeline := s.identity(t)
	s.fault(t, pgRestart, 0, 0, 0)
	s.waitHeartbeats(t, 1)
	s.fault(t, pgKill, 0, 0, 0)
	s.waitHeartbeats(t, 1)
	s.acknowledge(t, 25)
	if again, now := s.identity(t); again != id || now != timeline {
		t.Errorf("deployment %s on timeline %d, want %s on timeline %d", again, now, id, timeline)
	}
	s.verdict(t)
	check(t, 0)
}

// quiet ends the talk.
func (s *scene) quiet() {
	s.hush()
	s.talking.Wait()
}

// rewind makes the database go back in time while everybody talks, ends the talk, and records
// the fault for the judge.
func (s *scene) rewind(t *testing.T, change func() error) {
	t.Helper()
	began := time.Now()
	err := change()
	s.quiet()
	if err == nil {
		err = s.crowd.settle(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	s.runner.faults = append(s.runner.faults, judge.Fault{
		Kind: "rewind", Began: began.UnixMicro(), Ended: time.Now().UnixMicro(), Rewinds: true,
	})
}
