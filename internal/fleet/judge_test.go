package fleet

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/room"
)

// texts returns the findings about a cause.
func (r *replica) texts(word string) (all []string) {
	for _, err := range r.Findings() {
		if cause.Of(err) == word {
			all = append(all, err.Error())
		}
	}
	return all
}

func TestAReplicaThatFallsSilentIsMissed(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b, c := w.joins("a", "one", "k"), w.joins("b", "one", "k"), w.joins("c", "one", "k")
		w.pass(time.Minute)
		w.kill(b)
		w.ends(c) // says goodbye
		w.pass(24 * time.Second)
		if found := a.Findings(); len(found) != 0 {
			t.Errorf("after 24 s already: %v", found)
		}
		w.pass(20 * time.Second)
		if got := a.texts("replica_hung"); len(got) != 1 || !strings.Contains(got[0], ": b (for ") || strings.Contains(got[0], "c (") || a.metric("roomspa_replicas_hung") != 1 {
			t.Errorf("after 44 s: %v", got)
		}
		w.pass(50 * time.Minute)
		if got := a.texts("replica_hung"); len(got) != 1 || strings.Count(a.log.String(), "Replica hung or lost") != 1 {
			t.Errorf("after 51 minutes: %v\n%s", got, a.log.String())
		}
		w.joins("b", "one", "k") // has taken its place
		w.pass(11 * time.Second)
		if found := a.Findings(); len(found) != 0 || a.metric("roomspa_replicas_hung") != 0 || !strings.Contains(a.log.String(), "No replica is hung or lost any more") {
			t.Errorf("when it is back: %v", found)
		}
	})
}

func TestWhoIsNotMissed(t *testing.T) {
	for name, scene := range map[string]func(w *world, a, b *replica){
		"Postgres is away for all": func(w *world, _, _ *replica) {
			w.set(func() { w.away = true })
			w.pass(5 * time.Minute)
			w.set(func() { w.away = false })
		},
		"Postgres and Redis are away for all": func(w *world, a, b *replica) {
			w.change("", a, b)
			w.set(func() { w.away = true })
			w.pass(5 * time.Minute)
			w.set(func() { w.away = false })
			w.pass(time.Second)
			w.change("one", a, b)
		},
		"Postgres is away for one, which is heard": func(w *world, _, b *replica) {
			w.set(func() { b.store = deaf{w} })
			w.pass(2 * time.Minute)
		},
		"one has gone long ago": func(w *world, _, b *replica) {
			w.kill(b)
			w.pass(MissedFor + time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				a, b := w.joins("a", "one", "k"), w.joins("b", "one", "k")
				w.pass(time.Minute)
				scene(w, a, b)
				for range 60 {
					w.pass(time.Second)
					if got := a.texts("replica_hung"); len(got) != 0 {
						t.Fatalf("it finds %v", got)
					}
				}
			})
		})
	}
}

// deaf is a store that fails.
type deaf struct{ Store }

func (deaf) Heartbeat(context.Context, room.Heartbeat, time.Duration) (d event.Deployment, others []room.Heartbeat, err error) {
	return d, nil, context.DeadlineExceeded
}

func TestDifferencesAreNamed(t *testing.T) {
	t.Parallel()
	beat := func(name, version string, up time.Duration, settings map[string]string) room.Heartbeat {
		return room.Heartbeat{ID: name, Replica: name, Version: version, Uptime: up, Settings: settings, SigningKey: "k", AcceptedKeys: []string{"k"}}
	}
	ra := beat("ra", "1.2.0", time.Hour, map[string]string{"redis-url": "number 0", RedisAddress: "redis:6379", "presence": "on", "origins": "", "new": "x"})
	for name, c := range map[string]struct {
		other room.Heartbeat
		want  []string // cause, and parts of the text
	}{
		"equal":                        {beat("rb", "1.2.0", time.Hour, ra.Settings), nil},
		"another name of one Redis":    {beat("rb", "1.2.0", time.Hour, map[string]string{RedisAddress: "10.0.0.1:6379"}), nil},
		"an earlier build":             {beat("rb", "", 0, nil), nil},
		"another number of Redis":      {beat("rd", "1.2.0", time.Hour, map[string]string{"redis-url": "number 5"}), []string{"replicas_differ", "rd (--redis-url: number 5, here number 0)"}},
		"several":                      {beat("rd", "1.2.0", time.Hour, map[string]string{"presence": "off", "origins": strings.Repeat("o", 200)}), []string{"replicas_differ", "rd (--origins: " + strings.Repeat("o", 80) + "…, here not set; --presence: off, here on)"}},
		"an update":                    {beat("rb", "1.3.0", 29*time.Minute, ra.Settings), nil},
		"an update that does not end":  {beat("rb", "1.3.0", 31*time.Minute, ra.Settings), []string{"mixed_versions", "rb (1.3.0, here 1.2.0)"}},
		"one that fell silent":         {room.Heartbeat{ID: "rb", Replica: "rb", Age: 45 * time.Second}, []string{"replica_hung", "rb (for 45s)"}},
		"one that may be about to end": {room.Heartbeat{ID: "rb", Replica: "rb", Age: 28 * time.Second}, nil},
		"one that was replaced":        {room.Heartbeat{ID: "x", Replica: "ra", Age: 45 * time.Second}, nil},
		"a wrong clock":                {room.Heartbeat{ID: "rb", Replica: "rb", ClockOffset: -6 * time.Second}, []string{"replica_clock_skew", "rb"}},
	} {
		got := Compare(ra, []room.Heartbeat{c.other})
		if c.want == nil {
			if len(got) != 0 {
				t.Errorf("%s: %v", name, got)
			}
			continue
		}
		if len(got) != 1 || cause.Of(got[0]) != c.want[0] || !strings.HasSuffix(got[0].Error(), ": "+c.want[1]) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	unheard := view{now: time.Now(), unheard: map[string]string{"rb": "rb"}, settled: true}
	found := unheard.judge(ra, []room.Heartbeat{beat("rb", "1.2.0", time.Hour, map[string]string{RedisAddress: "other:6379"})})
	if got := found.findings(); len(got) != 2 || !strings.HasSuffix(got[1].Error(), "--redis-url (address): other:6379, here redis:6379)") {
		t.Errorf("with a split: %v", got)
	}
}
