package fleet

import (
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/event"
)

// elsewhere is another Postgres with the same deployment.
func elsewhere(w *world) *world {
	return &world{t: w.t, ctx: w.ctx, beats: map[string]row{}, identity: identity, suspected: make(chan struct{}, 1)}
}

func TestASplitDatabaseIsFoundByBothAndHeals(t *testing.T) {
	inWorld(t, func(w *world) {
		a, b, c := w.joins("a", "one", "k"), w.joins("b", "one", "k"), w.joins("c", "one", "k")
		w.pass(time.Minute)
		w.set(func() { b.store = elsewhere(w) })
		w.pass(25 * time.Second)
		if all := append(a.Findings(), b.Findings()...); len(all) != 0 {
			t.Errorf("after 25 s already: %v", all)
		}
		w.pass(70 * time.Second)
		expect := func(when string) {
			t.Helper()
			for r, others := range map[*replica]string{
				a: "b (of-b:5432/chat, here of-a:5432/chat)", c: "b (of-b:5432/chat, here of-c:5432/chat)",
				b: "a (of-a:5432/chat, here of-b:5432/chat), c (of-c:5432/chat, here of-b:5432/chat)",
			} {
				if got := r.texts("split_database"); len(got) != 1 || !strings.HasSuffix(got[0], ": "+others) {
					t.Errorf("%s: %v, want %s", when, got, others)
				}
			}
		}
		expect("when it is split")
		if n, m := a.metric("roomspa_replicas_on_another_database"), b.metric("roomspa_replicas_on_another_database"); n != 1 || m != 2 {
			t.Errorf("the metrics are %v and %v", n, m)
		}
		w.change("", a, b, c)
		w.pass(5 * time.Minute)
		expect("while Redis is away")
		w.change("one", a, b, c)
		w.pass(90 * time.Second)
		expect("when Redis is back")
		w.set(func() { b.store = w })
		w.pass(20 * time.Second)
		for _, r := range []*replica{a, b, c} {
			if len(r.texts("split_database")) != 0 || r.metric("roomspa_replicas_on_another_database") != 0 || !strings.Contains(r.log.String(), "Database no longer split") {
				t.Errorf("after it has healed: %v\n%s", r.Findings(), r.log.String())
			}
			if !strings.Contains(r.log.String(), `level=ERROR msg="[Replicas] Database split: replicas are heard over Redis`) {
				t.Errorf("the log is\n%s", r.log.String())
			}
		}
	})
}

// earlier sends the heartbeats of an earlier release.
type earlier struct{ *replica }

func (e earlier) Publish(group string, body event.Body, done func(error)) {
	if _, is := body.(event.Heartbeat); is {
		body = empty{}
	}
	e.replica.Publish(group, body, done)
}

type empty struct{ event.Heartbeat }

func (empty) AppendTo(dst []byte) []byte { return append(dst, "{}"...) }

func TestWhoIsOnNoOtherDatabase(t *testing.T) {
	for name, scene := range map[string]func(w *world, a, b *replica){
		"Postgres is away for one, for hours": func(w *world, _, b *replica) {
			w.set(func() { b.store = deaf{w} })
			w.pass(3 * time.Hour)
		},
		"Postgres is away for one, and its row is lost": func(w *world, _, b *replica) {
			w.set(func() { b.store = deaf{w}; delete(w.beats, b.ID().String()) })
		},
		"the table is lost again and again": func(w *world, _, _ *replica) {
			for range 10 {
				w.set(func() { clear(w.beats) })
				w.pass(20 * time.Second)
			}
		},
		"one follows a failover later": func(w *world, a, b *replica) {
			to := elsewhere(w)
			w.set(func() { a.store = to })
			w.pass(15 * time.Second)
			w.set(func() { b.store = to })
		},
		"one is of an earlier release": func(w *world, _, b *replica) {
			w.set(func() { b.Fleet.layer, b.store = earlier{b}, elsewhere(w) })
			w.pass(time.Second)
		},
		"one comes that stores nothing": func(w *world, _, _ *replica) {
			c := w.joins("c", "one", "k")
			w.set(func() { c.store = deaf{w}; delete(w.beats, c.ID().String()) })
			w.pass(time.Minute)
		},
		"all are replaced": func(w *world, a, b *replica) {
			for _, old := range []*replica{a, b} {
				w.joins("next", "one", "k")
				w.ends(old)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				a, b := w.joins("a", "one", "k"), w.joins("b", "one", "k")
				w.pass(time.Minute)
				scene(w, a, b)
				for range 120 {
					w.pass(time.Second)
					for _, r := range w.replicas {
						if got := r.texts("split_database"); len(got) != 0 && !(name == "one is of an earlier release" && r == b) {
							t.Fatalf("%s finds %v", r.own.Replica, got)
						}
					}
				}
			})
		})
	}
}
