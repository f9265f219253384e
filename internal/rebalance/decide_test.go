package rebalance

import (
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/event"
)

// ready returns the load of a ready replica.
func ready(sockets int) event.Load { return event.Load{Sockets: sockets, Ready: true} }

// others are replicas with such counts.
func others(counts ...event.Load) map[event.ProcessID]event.Load {
	m := map[event.ProcessID]event.Load{}
	for i, c := range counts {
		m[event.ProcessID{byte(i)}] = c
	}
	return m
}

// after lets a decider of the defaults see the same for a while, and returns what it
// decides in the end.
func after(d *decider, began time.Time, rounds int, v view) (last decision, now time.Time) {
	now = began
	for range rounds {
		now = now.Add(roundInterval)
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
		"nobody else":                                  {view{own: ready(1000), hearsSelf: true}, alone, 0},
		"all hold the same":                            {view{own: ready(1000), others: others(ready(1000), ready(1000)), hearsSelf: true}, even, 0},
		"an empty one has come":                        {view{own: ready(1000), others: others(ready(0)), hearsSelf: true}, shed, 50},
		"three empty ones have come":                   {view{own: ready(1000), others: others(ready(1000), ready(1000), ready(0), ready(0), ready(0)), hearsSelf: true}, shed, 50},
		"the empty one itself":                         {view{own: ready(0), others: others(ready(1000)), hearsSelf: true}, even, 0},
		"one in ten is empty: each holds a tenth more": {view{own: ready(1000), others: others(ready(1000), ready(1000), ready(1000), ready(1000), ready(1000), ready(1000), ready(1000), ready(1000), ready(0)), hearsSelf: true}, even, 0},
		"a little above the mean":                      {view{own: ready(1100), others: others(ready(1000), ready(900)), hearsSelf: true}, even, 0},
		"too few to bother":                            {view{own: ready(19), others: others(ready(0)), hearsSelf: true}, even, 0},
		"few, but far above":                           {view{own: ready(100), others: others(ready(0)), hearsSelf: true}, shed, 15},
		"a chance that is none":                        {view{own: ready(60), others: others(ready(40)), hearsSelf: true}, even, 0},
		"no more than its own excess":                  {view{own: ready(1300), others: others(ready(700), ready(1000)), hearsSelf: true}, shed, 50},
		"this one leaves":                              {view{own: event.Load{Sockets: 1000, Ready: true, Draining: true}, others: others(ready(0)), hearsSelf: true}, draining, 0},
		"another one leaves":                           {view{own: ready(1000), others: others(ready(0), event.Load{Sockets: 500, Ready: true, Draining: true}), hearsSelf: true}, draining, 0},
		"this one has an outage":                       {view{own: event.Load{Sockets: 1000}, others: others(ready(0)), hearsSelf: true}, outage, 0},
		"another one has an outage":                    {view{own: ready(1000), others: others(ready(0), event.Load{Sockets: 500}), hearsSelf: true}, outage, 0},
		"one just starts":                              {view{own: ready(1000), others: others(ready(0), event.Load{}), hearsSelf: true}, shed, 50},
		"the only other one just starts":               {view{own: ready(1000), others: others(event.Load{}), hearsSelf: true}, alone, 0},
		"it does not hear itself":                      {view{own: ready(1000), others: others(ready(0)), hearsSelf: false}, settling, 0},
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
	before := view{own: ready(1000), others: others(ready(1000)), hearsSelf: true}
	got, now := after(d, time.Unix(0, 0), 20, before)
	if got.outcome != even {
		t.Fatalf("%+v", got)
	}
	joined := view{own: ready(1000), others: others(ready(1000), ready(0)), hearsSelf: true}
	for round := 1; ; round++ {
		now = now.Add(roundInterval)
		got := d.decide(now, joined)
		if got.outcome == shed {
			if waited := time.Duration(round-1) * roundInterval; waited < settleTime || waited > settleTime+minRounds*roundInterval {
				t.Errorf("shed %v after one has joined", waited)
			}
			break
		}
		if round > 20 {
			t.Fatalf("not shed at all: %+v", got)
		}
	}
	for name, trouble := range map[string]view{
		"a drain":          {own: ready(1000), others: others(ready(1000), event.Load{Sockets: 1, Ready: true, Draining: true}), hearsSelf: true},
		"an outage":        {own: event.Load{Sockets: 1000}, others: joined.others, hearsSelf: true},
		"one that is gone": {own: ready(1000), others: others(ready(1000)), hearsSelf: true},
	} {
		now = now.Add(roundInterval)
		if got := d.decide(now, trouble); got.shed != 0 {
			t.Errorf("%s: %+v", name, got)
		}
		got, later := after(d, now, int(settleTime/roundInterval), joined)
		if got.shed != 0 {
			t.Errorf("%v after %s: %+v", later.Sub(now), name, got)
		}
		if got, now = after(d, later, minRounds, joined); got.shed == 0 {
			t.Errorf("%v after %s: %+v", now.Sub(later), name, got)
		}
	}
}

func TestSheddingStopsNearTheMeanAndStartsFarAboveIt(t *testing.T) {
	t.Parallel()
	d := &decider{threshold: 0.2, rate: 1000}
	_, now := after(d, time.Unix(0, 0), 20, view{own: ready(1000), others: others(ready(1000)), hearsSelf: true})
	for _, step := range []struct {
		own, other int
		want       outcome
	}{
		{1190, 810, even},
		{1210, 790, even},
		{1210, 790, even},
		{1190, 810, even}, // twice in a row is not enough
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
		now = now.Add(roundInterval)
		got := d.decide(now, view{own: ready(step.own), others: others(ready(step.other)), hearsSelf: true})
		if got.outcome != step.want {
			t.Errorf("%d and %d: %+v, want %s", step.own, step.other, got, step.want)
		}
	}
}
