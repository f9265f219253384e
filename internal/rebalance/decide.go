package rebalance

import (
	"math"
	"time"
)

const (
	// every is how often replicas tell each other how many sockets they hold, and
	// decide.
	every = 5 * time.Second
	// stale is how old a count may be: three that did not come.
	stale = 3*every + every/2
	// settle is how long the replicas have to be the same ones, with no drain and no
	// outage among them, before any of them sheds: clients are still on their way
	// then, and a start or an end seldom comes alone.
	settle = 30 * time.Second
	// calm is how often in a row a replica has to find itself far above the mean: the
	// counts of the others are a few seconds old, and those of a storm mean nothing.
	calm = 3
	// least is the excess that is never worth a reconnect.
	least = 20
)

// An outcome is what a round comes to.
type outcome string

const (
	shed     outcome = "shed"
	even     outcome = "even"     // not far above the mean
	alone    outcome = "alone"    // nobody else takes sockets
	settling outcome = "settling" // the replicas have just changed, or we do not hear ourselves
	draining outcome = "drain"    // somebody leaves
	outage   outcome = "outage"   // somebody who has sockets cannot use a dependency
)

// A count is what a replica says of itself.
type count struct {
	Sockets  int  `json:"sockets"`
	Ready    bool `json:"ready"`
	Draining bool `json:"draining,omitempty"`
}

// A view is all that a replica knows when it decides: its own count, which is that
// of now, and those of the others, as far as they are not stale. heard says that it
// hears itself, so that whoever it does not hear is really gone.
type view struct {
	own    count
	others map[string]count
	heard  bool
}

// A decision says how many sockets may be shed until the next round, and why.
type decision struct {
	outcome  outcome
	shed     int
	replicas int // that take sockets, this one included
	mean     float64
}

// A decider decides, round by round, whether its replica holds far more sockets
// than the others, and how many it sheds. It knows no clock, no socket and no
// other replica but what it is told.
//
// Each replica sheds its own excess above the mean and no more, so all may shed at
// once: the sum does not change. It starts far above the mean and stops near it, and
// between the two nothing happens: that is what keeps clients, who come back
// anywhere, from being moved to and fro.
type decider struct {
	threshold float64 // the fraction above the mean that is far
	rate      float64 // sockets a second

	changed  time.Time // since when nothing stands against it
	known    map[string]bool
	far      int // rounds in a row
	shedding bool
}

// decide is one round.
func (d *decider) decide(now time.Time, v view) decision {
	r := decision{outcome: d.obstacle(now, v), replicas: 1, mean: float64(v.own.Sockets)}
	sum := v.own.Sockets
	for _, o := range v.others {
		if o.Ready && !o.Draining {
			sum += o.Sockets
			r.replicas++
		}
	}
	r.mean = float64(sum) / float64(r.replicas)
	if r.replicas == 1 && (r.outcome == "" || r.outcome == settling) {
		r.outcome = alone
	}
	if r.outcome != "" {
		d.far, d.shedding = 0, false
		return r
	}
	excess := float64(v.own.Sockets) - r.mean
	far, near := d.bounds(r.mean)
	if d.far++; excess < far {
		d.far = 0
	}
	d.shedding = d.far >= calm || d.shedding && excess > near
	if !d.shedding {
		r.outcome = even
		return r
	}
	// A third of what is left in each round: the counts are a few seconds old, and who
	// was shed last is still on the way.
	r.outcome = shed
	r.shed = min(int(math.Ceil((excess-near)/3)), max(1, int(d.rate*every.Seconds())))
	return r
}

// bounds says what excess above the mean is far, where shedding starts, and what is
// near, where it stops. Clients who land anywhere by chance differ by the square
// root of the mean; four times that is no chance.
func (d *decider) bounds(mean float64) (far, near float64) {
	far = max(d.threshold*mean, 4*math.Sqrt(mean), least)
	return far, far / 4
}

// obstacle returns what forbids to shed now, or nothing.
func (d *decider) obstacle(now time.Time, v view) outcome {
	var against outcome
	same := d.known != nil && v.heard
	known := map[string]bool{}
	for id, o := range v.others {
		switch {
		case o.Draining:
			against = draining
		case o.Ready:
			known[id] = true
			same = same && d.known[id]
		case o.Sockets > 0 && against == "": // one that just starts has none
			against = outage
		}
	}
	same = same && len(known) == len(d.known)
	d.known = known
	switch {
	case v.own.Draining:
		against = draining
	case !v.own.Ready:
		against = outage
	}
	if against != "" || !same {
		d.changed = now
	}
	if against == "" && now.Sub(d.changed) < settle {
		against = settling
	}
	return against
}
