package soak

import (
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

const (
	// quietStart lets everybody connect before the first fault.
	quietStart = 3 * time.Second
	// meanGap is the mean time from the beginning of a fault to that of the next.
	meanGap = 2500 * time.Millisecond
	// atOnce is how many faults there may be at one time.
	atOnce = 3
)

// A fault is one entry of a plan.
type fault struct {
	at      time.Duration // since the beginning
	kind    kind
	subject subject
	replica int           // whose, where each has one; from 0
	lasts   time.Duration // from its beginning to its end
	seed    uint64        // of the choices that are left
}

func (f *fault) target() string {
	if !f.subject.perReplica() {
		return string(f.subject)
	}
	return fmt.Sprintf("%s %d", f.subject, f.replica+1)
}

func (f *fault) String() string {
	return fmt.Sprintf("%7.1fs  %-20s %-18s %.2fs", f.at.Seconds(), f.kind, f.target(), f.lasts.Seconds())
}

// A plan is all faults of a run, in the order of their beginning.
type plan []fault

// newPlan decides from the seed alone. The kinds are dealt like cards: each comes
// once before any comes again.
func newPlan(seed uint64, length time.Duration, replicas int) plan {
	rng := rand.New(rand.NewPCG(seed, 1))
	busy := map[string]time.Duration{} // until when, by target
	var p plan
	var deck []int
	for at := quietStart; ; at += time.Duration((0.4 + 1.2*rng.Float64()) * float64(meanGap)) {
		if len(deck) == 0 {
			deck = rng.Perm(len(kinds))
		}
		k := kinds[deck[0]]
		deck = deck[1:]
		f := fault{at: at, kind: k.kind, subject: k.subject, seed: rng.Uint64()}
		f.lasts = k.least + time.Duration(square(rng.Float64())*float64(k.most-k.least))
		if k.subject.perReplica() {
			f.replica = rng.IntN(replicas)
		}
		f.at = max(f.at, busy[f.target()])
		at = f.at
		if f.at+f.lasts > length {
			return p
		}
		busy[f.target()] = f.at + f.lasts + time.Second // to start again takes a moment
		p = append(p, f)
	}
}

// square makes short faults frequent, and long ones possible.
func square(x float64) float64 { return x * x }

func (p plan) print(out io.Writer) {
	say(out, "soak: the plan, %d faults:", len(p))
	for i := range p {
		say(out, "%s", &p[i])
	}
}
