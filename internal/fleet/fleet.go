// Package fleet finds out what no single replica can see in itself: that replicas
// which share Postgres do not hear each other over the channel layer, or refuse each
// other's tokens. Each leaves a sign of life in Postgres, and compares those of the
// others with whom it hears. It says so, and changes nothing.
package fleet

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/room"
)

const component = "Replicas"

// most is how many names a line has.
const most = 10

// Store is where the replicas leave their signs of life.
type Store interface {
	// Beat leaves one and returns those of the others that are younger than within.
	Beat(ctx context.Context, own room.Beat, within time.Duration) ([]room.Beat, error)
	// EndBeat takes it away.
	EndBeat(ctx context.Context, id string) error
}

// A Watch is one replica's part. Make one with [New], tell it with [Watch.Hear] who
// is heard, and let it [Watch.Run].
type Watch struct {
	own     room.Beat       // without the keys, which may change
	keys    func() []string // fingerprints, of the one that signs first
	store   Store
	log     *slog.Logger
	metrics *metrics
	began   time.Time // to look, Run's own

	mu    sync.Mutex
	heard map[string]time.Time // when somebody's last notice came, by id
	since time.Time            // when this replica began to hear itself

	alive     int               // others that leave signs of life
	unheard   map[string]string // names of those that are not heard, by id
	strangers map[string]string // and of those with other secrets
}

// New returns the watch of a replica that signs tokens with the first of its keys
// and accepts those of all, by their fingerprints. It asks for them at each look.
func New(replica string, keys func() []string, store Store, log *slog.Logger, reg prometheus.Registerer) *Watch {
	return &Watch{
		own:  room.Beat{ID: rand.Text()[:12], Replica: replica},
		keys: keys, store: store, log: log, metrics: newMetrics(reg),
		heard: map[string]time.Time{}, unheard: map[string]string{}, strangers: map[string]string{},
	}
}

// ID is what this replica's notices have to say who sends them.
func (w *Watch) ID() string { return w.own.ID }

// Hear tells of a notice that has come over the channel layer.
func (w *Watch) Hear(id string) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if id == w.own.ID && now.Sub(w.heard[id]) > gap {
		w.since = now
	}
	w.heard[id] = now
}

// Run leaves signs of life and looks at those of the others until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	w.began = time.Now()
	for {
		select {
		case <-ctx.Done():
			w.leave(ctx)
			return
		case <-tick.C:
			w.look(ctx, time.Now())
		}
	}
}

// leave takes the sign of life away. Where that fails it is soon too old.
func (w *Watch) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = w.store.EndBeat(ctx, w.own.ID)
}

func (w *Watch) look(ctx context.Context, now time.Time) {
	own := w.own
	own.Hears, own.Accepts = w.hearing(now), w.keys()
	own.Signs = own.Accepts[0]
	others, err := w.store.Beat(ctx, own, within)
	if err != nil {
		return // what is wrong with Postgres is said elsewhere, and what was known stays
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.compare(now, own, others)
}

// hearing returns for how long this replica has heard itself, and forgets whom it has
// not heard for long.
func (w *Watch) hearing(now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now.Sub(w.heard[w.own.ID]) > gap {
		w.since = time.Time{}
	}
	maps.DeleteFunc(w.heard, func(_ string, at time.Time) bool { return now.Sub(at) > 2*(patience+within) })
	if w.since.IsZero() {
		return 0
	}
	return now.Sub(w.since)
}

// compare says what is news about the others.
func (w *Watch) compare(now time.Time, own room.Beat, others []room.Beat) {
	unheard, strangers := map[string]string{}, map[string]string{}
	for _, o := range others {
		_, before := w.unheard[o.ID]
		if h := hears(now, w.since, w.heard[o.ID], o); h == silent || h == unsure && before {
			unheard[o.ID] = o.Replica
		}
		// One that was gone before this replica came may have had secrets of its own time.
		if now.Add(-o.Age).After(w.began) && differ(own, o) {
			strangers[o.ID] = o.Replica
		}
	}
	w.tell(w.unheard, unheard, slog.LevelError, split, "Not heard over the channel layer, though they share Postgres: ",
		"All replicas that share Postgres are heard over the channel layer again")
	w.tell(w.strangers, strangers, slog.LevelWarn, secrets, "Tokens are refused that other replicas sign, or theirs by them: ",
		"All replicas take each other's tokens again")
	w.alive, w.unheard, w.strangers = len(others), unheard, strangers
	w.metrics.unheard.Set(float64(len(unheard)))
	w.metrics.strangers.Set(float64(len(strangers)))
}

// tell logs where there is somebody new, and where nobody is left.
func (w *Watch) tell(before, now map[string]string, level slog.Level, cause, trouble, over string) {
	isNew := func(id string) bool {
		_, known := before[id]
		return !known
	}
	switch {
	case slices.ContainsFunc(slices.Collect(maps.Keys(now)), isNew):
		logging.Component(w.log, level, component, trouble+names(now), slog.String("cause", cause), slog.Int("replicas", len(now)))
	case len(now) == 0 && len(before) > 0:
		logging.Component(w.log, slog.LevelInfo, component, over, slog.String("cause", cause))
	}
}

func names(of map[string]string) string {
	all := slices.Sorted(maps.Values(of))
	if more := len(all) - most; more > 0 {
		all = append(all[:most], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(all, ", ")
}
