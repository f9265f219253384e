package idlecuts

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// noon is when the tables begin.
var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

var remotes = []string{"192.0.2.1", "2001:db8::"}

// of returns the cut of one of several users at several addresses.
func of(i int, c cut) cut {
	c.user, c.network = int64(1+i%3), remotes[i%2]
	return c
}

func TestCluster(t *testing.T) {
	t.Parallel()
	chance := rand.New(rand.NewPCG(1, 2))
	spread := func(i int) cut {
		return of(i, cut{at: noon.Add(time.Duration(i) * time.Second), idle: time.Duration(chance.Int64N(int64(25 * time.Second)))})
	}
	around := func(limit time.Duration) func(int) cut {
		return func(i int) cut {
			return of(i, cut{at: noon.Add(time.Duration(i) * time.Second), idle: limit + time.Duration(chance.Int64N(int64(time.Second)))})
		}
	}
	for name, c := range map[string]struct {
		n    int
		make func(int) cut
		want time.Duration // 0 for no cluster
	}{
		"nothing at all":                      {0, nil, 0},
		"peers that go away at any time":      {1000, spread, 0},
		"a proxy with 15 s":                   {40, around(15 * time.Second), 15 * time.Second},
		"a proxy with 60 s":                   {40, around(time.Minute), time.Minute},
		"too few to say":                      {5, around(time.Minute), 0},
		"connections in use that end at once": {1000, around(time.Second), 0},
		"a proxy for some, and peers that leave": {200, func(i int) cut {
			if i%2 == 0 {
				return around(20 * time.Second)(i)
			}
			return spread(i)
		}, 20 * time.Second},
		"one restart that cuts all at once": {200, func(i int) cut { return of(i, cut{at: noon, idle: 12 * time.Second}) }, 0},
		"sockets of nobody": {40, func(i int) cut {
			c := around(time.Minute)(i)
			c.user = 0
			return c
		}, 0},
		"two users": {40, func(i int) cut {
			c := around(time.Minute)(i)
			c.user = int64(1 + i%2)
			return c
		}, 0},
		"one address": {40, func(i int) cut {
			c := around(time.Minute)(i)
			c.network = remotes[0]
			return c
		}, 0},
		"a proxy of long ago": {40, func(i int) cut {
			return of(i, cut{at: noon.Add(-2*time.Hour + time.Duration(i)*time.Second), idle: time.Minute})
		}, 0},
	} {
		var d detector
		for i := range c.n {
			d.add(c.make(i))
		}
		got := d.cluster(noon.Add(time.Duration(c.n) * time.Second))
		if diff := got.idle - c.want; diff < -time.Second || diff > 2*time.Second || (got.cuts == 0) != (c.want == 0) {
			t.Errorf("%s: %+v, want %v", name, got, c.want)
		}
		if len(d.cuts) > maxCuts {
			t.Errorf("%s: %d cuts are remembered", name, len(d.cuts))
		}
	}
}

// TestNoFalseAlarm looks at what is normal, again and again.
func TestNoFalseAlarm(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		chance := rand.New(rand.NewPCG(seed, 0))
		var d detector
		at := noon
		for i := range 400 {
			at = at.Add(time.Duration(chance.Int64N(int64(5 * time.Second))))
			d.add(of(i, cut{at: at, idle: time.Duration(chance.Int64N(int64(25 * time.Second)))}))
			if found := d.cluster(at); found.cuts != 0 {
				t.Fatalf("seed %d: %+v", seed, found)
			}
		}
	}
}

func TestItIsSaidOnceInAWhile(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	reg := prometheus.NewRegistry()
	w := New(slog.New(slog.NewTextHandler(&log, nil)), reg)
	for i := range 100 {
		w.Add(noon.Add(time.Duration(i)*6*time.Second), time.Minute, int64(1+i%3), remotes[i%2])
	}
	if n := strings.Count(log.String(), "A proxy closes idle connections after about 1m0s"); n != 2 {
		t.Errorf("said %d times within 10 minutes:\n%s", n, log.String())
	}
	if r := w.Report(noon.Add(10 * time.Minute)); r.Cause != "proxy_cuts_idle" || r.IdleSeconds != 60 || r.Users != 3 || r.Networks != 2 {
		t.Errorf("the report is %+v", r)
	}
}
