package rebalance

import (
	"testing"
	"time"
)

// full is a replica that takes sockets and holds so many.
func full(sockets int) count { return count{Sockets: sockets, Ready: true} }

// others are replicas with such counts.
func others(counts ...count) map[string]count {
	m := map[string]count{}
	for i, c := range counts {
		m[string(rune('a'+i))] = c
	}
	return m
}

// after lets a decider of the defaults see the same for a while, and returns what it
// decides in the end.
func after(d *decider, began time.Time, rounds int, v view) (last decision, now time.Time) {
	now = began
	for range rounds {
		now = now.Add(every)
		last = d.decide(now, v)
	}
	return last, now
}

func TestDecide(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		view view
		want outcome
		shed int
	}{
		"nobody else":                                  {view{own: full(1000), heard: true}, alone, 0},
		"all hold the same":                            {view{own: full(1000), others: others(full(1000), full(1000)), heard: true}, even, 0},
		"an empty one has come":                        {view{own: full(1000), others: others(full(0)), heard: true}, shed, 50},
		"three empty ones have come":                   {view{own: full(1000), others: others(full(1000), full(1000), full(0), full(0), full(0)), heard: true}, shed, 50},
		"the empty one itself":                         {view{own: full(0), others: others(full(1000)), heard: true}, even, 0},
		"one in ten is empty: each holds a tenth more": {view{own: full(1000), others: others(full(1000), full(1000), full(1000), full(1000), full(1000), full(1000), full(1000), full(1000), full(0)), heard: true}, even, 0},
		"a little above the mean":                      {view{own: full(1100), others: others(full(1000), full(900)), heard: true}, even, 0},
		"too few to bother":                            {view{own: full(19), others: others(full(0)), heard: true}, even, 0},
		"few, but far above":                           {view{own: full(100), others: others(full(0)), heard: true}, shed, 15},
		"a chance that is none":                        {view{own: full(60), others: others(full(40)), heard: true}, even, 0},
		"no more than its own excess":                  {view{own: full(1300), others: others(full(700), full(1000)), heard: true}, shed, 50},
		"this one leaves":                              {view{own: count{Sockets: 1000, Ready: true, Draining: true}, others: others(full(0)), heard: true}, draining, 0},
		"another one leaves":                           {view{own: full(1000), others: others(full(0), count{Sockets: 500, Ready: true, Draining: true}), heard: true}, draining, 0},
		"this one has an outage":                       {view{own: count{Sockets: 1000}, others: others(full(0)), heard: true}, outage, 0},
		"another one has an outage":                    {view{own: full(1000), others: others(full(0), count{Sockets: 500}), heard: true}, outage, 0},
		"one just starts":                              {view{own: full(1000), others: others(full(0), count{}), heard: true}, shed, 50},
		"the only other one just starts":               {view{own: full(1000), others: others(count{}), heard: true}, alone, 0},
		"it does not hear itself":                      {view{own: full(1000), others: others(full(0)), heard: false}, settling, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := &decider{threshold: 0.2, rate: 10}
			got, _ := after(d, time.Unix(0, 0), 20, c.view)
			if got.outcome != c.want || got.shed != c.shed {
				t.Errorf("%+v, want %s of %d", got, c.want, c.shed)
			}
		})
	}
}

func TestNothingIsShedBeforeTheReplicasHaveBeenTheSameForAWhile(t *testing.T) {
	t.Parallel()
	d := &decider{threshold: 0.2, rate: 10}
	before := view{own: full(1000), others: others(full(1000)), heard: true}
	got, now := after(d, time.Unix(0, 0), 20, before)
	if got.outcome != even {
		t.Fatalf("%+v", got)
	}
	joined := view{own: full(1000), others: others(full(1000), full(0)), heard: true}
	for round := 1; ; round++ {
		now = now.Add(every)
		got := d.decide(now, joined)
		if got.outcome == shed {
			if waited := time.Duration(round-1) * every; waited < settle || waited > settle+calm*every {
				t.Errorf("shed %v after one has joined", waited)
			}
			break
		}
		if round > 20 {
			t.Fatalf("not shed at all: %+v", got)
		}
	}
	for name, trouble := range map[string]view{
		"a drain":          {own: full(1000), others: others(full(1000), count{Sockets: 1, Ready: true, Draining: true}), heard: true},
		"an outage":        {own: count{Sockets: 1000}, others: joined.others, heard: true},
		"one that is gone": {own: full(1000), others: others(full(1000)), heard: true},
	} {
		now = now.Add(every)
		if got := d.decide(now, trouble); got.shed != 0 {
			t.Errorf("%s: %+v", name, got)
		}
		got, later := after(d, now, int(settle/every), joined)
		if got.shed != 0 {
			t.Errorf("%v after %s: %+v", later.Sub(now), name, got)
		}
		if got, now = after(d, later, calm, joined); got.shed == 0 {
			t.Errorf("%v after %s: %+v", now.Sub(later), name, got)
		}
	}
}

func TestSheddingStopsNearTheMeanAndStartsFarAboveIt(t *testing.T) {
	t.Parallel()
	d := &decider{threshold: 0.2, rate: 1000}
	_, now := after(d, time.Unix(0, 0), 20, view{own: full(1000), others: others(full(1000)), heard: true})
	for _, step := range []struct {
		own, other int
		want       outcome
	}{
		{1190, 810, even},
		{1210, 790, even},
		{1210, 790, even},
		{1190, 810, even}, // twice in a row is not yet calm
		{1210, 790, even},
		{1210, 790, even},
		{1210, 790, shed},
		{1190, 810, shed},
		{1100, 900, shed},
		{1051, 949, shed}, // below the start, above the end
		{1050, 950, even},
		{1100, 900, even},
		{1190, 810, even},
	} {
		now = now.Add(every)
		got := d.decide(now, view{own: full(step.own), others: others(full(step.other)), heard: true})
		if got.outcome != step.want {
			t.Errorf("%d and %d: %+v, want %s", step.own, step.other, got, step.want)
		}
	}
}
