package rebalance

import (
	"math"
	"time"

	"github.com/roomspa/roomspa/internal/event"
)

const (
	// roundInterval is the time between two rounds. In each the replica publishes its
	// load and decides.
	roundInterval = 5 * time.Second
	// maxAge is the age at which a load expires: three were not renewed.
	maxAge = 3*roundInterval + roundInterval/2
	// settleTime is how long the set of replicas must be unchanged, with no drain and
	// no outage, before any of them sheds. Until then clients are still moving, and one
	// start or end is often followed by another.
	settleTime = 30 * time.Second
	// minRounds is the number of rounds in a row that a replica must be far above the
	// mean. Loads are a few seconds old, and those of a storm mean nothing.
	minRounds = 3
	// minExcess is the smallest number of sockets above the mean that is worth a move.
	minExcess = 20
)

// An outcome is the result of a round.
type outcome string

const (
	shed     outcome = "shed"
	even     outcome = "even"     // not far above the mean
	alone    outcome = "alone"    // no other replica is ready
	settling outcome = "settling" // the replicas have changed, or this one does not hear itself
	draining outcome = "drain"    // a replica is draining
	outage   outcome = "outage"   // a replica with sockets is not ready
)

// stopReasons names in the log why rebalancing stopped, by outcome.
var stopReasons = map[outcome]string{
	even:     "connections are close to the mean",
	alone:    "no other replica is ready",
	settling: "the set of replicas has changed, or this replica does not receive its own messages",
	draining: "a replica is draining",
	outage:   "a replica with connections is not ready",
}

// A view is all that a replica knows when it decides: its current load and the
// unexpired loads of the others. hearsSelf says that it receives its own messages;
// only then are replicas that it does not hear really gone.
type view struct {
	own       event.Load
	others    map[event.ProcessID]event.Load
	hearsSelf bool
}

// A decision says how many sockets may be closed until the next round.
type decision struct {
	outcome  outcome
	shed     int
	replicas int // ready replicas, this one included
	mean     float64
}

// A decider decides in each round whether its replica holds far more sockets than the
// mean, and how many to shed. It has no clock and performs no I/O.
//
// Each replica sheds at most its own excess above the mean, so all may shed at once.
// Shedding starts far above the mean and stops near it. Between the two nothing
// starts, so clients are not moved back and forth.
type decider struct {
	threshold float64 // fraction above the mean at which shedding starts
	rate      float64 // sockets per second

	blockedAt  time.Time                // when the replicas last changed, or an obstacle was last seen
	known      map[event.ProcessID]bool // ready replicas of the last round
	roundsHigh int                      // rounds in a row far above the mean
	shedding   bool
}

// decide runs one round.
func (d *decider) decide(now time.Time, v view) decision {
	r := decision{outcome: d.obstacle(now, v), replicas: 1}
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
		d.roundsHigh, d.shedding = 0, false
		return r
	}
	excess := float64(v.own.Sockets) - r.mean
	start, stop := d.bounds(r.mean)
	if d.roundsHigh++; excess < start {
		d.roundsHigh = 0
	}
	d.shedding = d.roundsHigh >= minRounds || d.shedding && excess > stop
	if !d.shedding {
		r.outcome = even
		return r
	}
	// A third of the rest in each round: loads are a few seconds old, and the clients
	// that were closed last are still reconnecting.
	r.outcome = shed
	r.shed = min(int(math.Ceil((excess-stop)/3)), max(1, int(d.rate*roundInterval.Seconds())))
	return r
}

// bounds returns the excess above the mean at which shedding starts and the one at
// which it stops. Clients that land on random replicas differ by the square root of
// the mean; four times that is no coincidence.
func (d *decider) bounds(mean float64) (start, stop float64) {
	start = max(d.threshold*mean, 4*math.Sqrt(mean), minExcess)
	return start, start / 4
}

// obstacle returns the outcome that forbids shedding now, or "".
func (d *decider) obstacle(now time.Time, v view) outcome {
	var found outcome
	same := d.known != nil && v.hearsSelf
	known := map[event.ProcessID]bool{}
	for id, o := range v.others {
		switch {
		case o.Draining:
			found = draining
		case o.Ready:
			known[id] = true
			same = same && d.known[id]
		case o.Sockets > 0 && found == "": // a replica that is starting has none
			found = outage
		}
	}
	same = same && len(known) == len(d.known)
	d.known = known
	switch {
	case v.own.Draining:
		found = draining
	case !v.own.Ready:
		found = outage
	}
	if found != "" || !same {
		d.blockedAt = now
	}
	if found == "" && now.Sub(d.blockedAt) < settleTime {
		found = settling
	}
	return found
}
