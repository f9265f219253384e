package soak

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// all chooses all kinds.
var all, _ = chooseKinds(nil)

func TestAPlanHasTheKindsThatWereChosen(t *testing.T) {
	t.Parallel()
	chosen, err := chooseKinds([]string{"replica-restart", "replica-kill"})
	if err != nil {
		t.Fatal(err)
	}
	found := map[kind]int{}
	for _, f := range newPlan(7, time.Hour, 3, chosen) {
		found[f.kind]++
	}
	if len(found) != 2 || found[replicaKill] < 100 || found[replicaRestart] < 100 {
		t.Errorf("the plan has %v", found)
	}
	if _, err := chooseKinds([]string{"replica-kill", "flood"}); err == nil {
		t.Error("a kind that does not exist is taken")
	}
}

func TestAPlanIsDecidedByItsSeed(t *testing.T) {
	t.Parallel()
	one, again, other := newPlan(7, time.Hour, 3, all), newPlan(7, time.Hour, 3, all), newPlan(8, time.Hour, 3, all)
	if diff := cmp.Diff(one, again, cmp.AllowUnexported(fault{})); diff != "" {
		t.Errorf("one seed, two plans:\n%s", diff)
	}
	if cmp.Equal(one, other, cmp.AllowUnexported(fault{})) {
		t.Error("two seeds, one plan")
	}
}

func TestAPlanOfTenMinutesHasEnoughOfEverything(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		p := newPlan(seed, longRun, 3, all)
		if len(p) < minFaults+minFaults/4 { // some may not fit in on a busy machine
			t.Errorf("seed %d plans %d faults", seed, len(p))
		}
		for _, k := range kinds {
			n := 0
			for _, f := range p {
				if f.kind == k.kind {
					n++
				}
			}
			if n <= minPerKind {
				t.Errorf("seed %d plans %d times %s", seed, n, k.kind)
			}
		}
	}
}

func TestFaultsOfAPlanComeInOrderAndLeaveEachOtherAlone(t *testing.T) {
	t.Parallel()
	p := newPlan(1, time.Hour, 3, all)
	if !slices.IsSortedFunc(p, func(a, b fault) int { return int(a.start - b.start) }) {
		t.Error("not in order")
	}
	busy := map[string]time.Duration{}
	for i := range p {
		f := &p[i]
		if f.start < busy[f.target()] {
			t.Errorf("%s begins before the last one of its target is over", f)
		}
		busy[f.target()] = f.start + f.duration
		if f.start+f.duration > time.Hour {
			t.Errorf("%s is not over in time", f)
		}
	}
}
