package soak

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// A kind is a kind of fault.
type kind string

// The kinds of faults. A link belongs to one replica.
const (
	replicaKill    kind = "replica-kill"    // SIGKILL and a new start
	replicaStop    kind = "replica-stop"    // SIGSTOP
	replicaRestart kind = "replica-restart" // SIGTERM, drain and a new start
	redisRestart   kind = "redis-restart"
	redisKill      kind = "redis-kill"
	redisStop      kind = "redis-stop"
	redisFailover  kind = "redis-failover"    // a replica of the killed server takes its place
	redisClients   kind = "redis-client-kill" // CLIENT KILL of subscribers, of others or of all
	pgRestart      kind = "postgres-restart"
	pgKill         kind = "postgres-kill"
	pgStop         kind = "postgres-stop"
	pgFailover     kind = "postgres-failover" // a synchronous standby of the killed primary takes its place
	lostCommit     kind = "lost-commit"       // statements commit, but their response is lost
	redisCut       kind = "redis-link-cut"
	redisStall     kind = "redis-link-stall"
	redisDelay     kind = "redis-link-delay"
	redisLoss      kind = "redis-message-loss" // every tenth published message does not arrive
	pgCut          kind = "postgres-link-cut"
	pgStall        kind = "postgres-link-stall"
	pgDelay        kind = "postgres-link-delay"
	clientCut      kind = "client-link-cut"
	clientStall    kind = "client-link-stall"
	clientDelay    kind = "client-link-delay"
	vanish         kind = "client-vanish" // clients lose their network, half of them silently
	slow           kind = "slow-reader"   // clients read nothing or very slowly
)

// A targetKind is what a fault is injected into. Concurrent faults of one target would undo
// each other.
type targetKind string

const (
	replicaTarget      targetKind = "replica"
	redisTarget        targetKind = "redis"
	postgresTarget     targetKind = "postgres"
	redisLink          targetKind = "redis-link"
	postgresLink       targetKind = "postgres-link"
	clientLink         targetKind = "client-link"
	vanishingClients   targetKind = "vanishing clients"
	slowReadingClients targetKind = "slow clients"
)

// perReplica reports whether each replica has a target of this kind.
func (t targetKind) perReplica() bool {
	switch t {
	case replicaTarget, redisLink, postgresLink, clientLink:
		return true
	default:
		return false
	}
}

// kinds lists the kinds of faults with their targets and durations. The longest durations
// exceed the timeouts concerned: the channel layer gives up a connection after 3 s, Postgres
// has 8 s, a client's socket 6 s. The duration of a failover is how long the second server follows before the kill.
var kinds = []struct {
	kind     kind
	target   targetKind
	min, max time.Duration
}{
	{replicaKill, replicaTarget, 0, 3 * time.Second},
	{replicaStop, replicaTarget, 200 * time.Millisecond, 9 * time.Second},
	{replicaRestart, replicaTarget, 0, time.Second},
	{redisRestart, redisTarget, 0, 0},
	{redisKill, redisTarget, 0, 4 * time.Second},
	{redisStop, redisTarget, 100 * time.Millisecond, 7 * time.Second},
	{redisFailover, redisTarget, 0, 2 * time.Second},
	{redisClients, redisTarget, 0, 0},
	{pgRestart, postgresTarget, 0, 0},
	{pgKill, postgresTarget, 0, 3 * time.Second},
	{pgStop, postgresTarget, 100 * time.Millisecond, 10 * time.Second},
	{pgFailover, postgresTarget, 0, 3 * time.Second},
	{lostCommit, postgresLink, 50 * time.Millisecond, time.Second},
	{redisCut, redisLink, 50 * time.Millisecond, 5 * time.Second},
	{redisStall, redisLink, 100 * time.Millisecond, 8 * time.Second},
	{redisDelay, redisLink, time.Second, 6 * time.Second},
	{redisLoss, redisLink, time.Second, 10 * time.Second},
	{pgCut, postgresLink, 50 * time.Millisecond, 4 * time.Second},
	{pgStall, postgresLink, 100 * time.Millisecond, 10 * time.Second},
	{pgDelay, postgresLink, time.Second, 6 * time.Second},
	{clientCut, clientLink, 50 * time.Millisecond, 3 * time.Second},
	{clientStall, clientLink, 100 * time.Millisecond, 10 * time.Second},
	{clientDelay, clientLink, time.Second, 6 * time.Second},
	{vanish, vanishingClients, 100 * time.Millisecond, 8 * time.Second},
	{slow, slowReadingClients, time.Second, 14 * time.Second},
}

const (
	// firstFault leaves time for all clients to connect.
	firstFault = 3 * time.Second
	// meanInterval is the mean time between the starts of two faults.
	meanInterval = 2500 * time.Millisecond
	// maxConcurrent is the maximum number of concurrent faults.
	maxConcurrent = 3
)

// A fault is one entry of a plan.
type fault struct {
	start      time.Duration // since the beginning of the run
	kind       kind
	targetKind targetKind
	replica    int // index, if the target belongs to a replica
	duration   time.Duration
	seed       uint64 // of the remaining choices
}

func (f *fault) target() string {
	if !f.targetKind.perReplica() {
		return string(f.targetKind)
	}
	return fmt.Sprintf("%s %d", f.targetKind, f.replica+1)
}

func (f *fault) String() string {
	return fmt.Sprintf("%7.1fs  %-20s %-18s %.2fs", f.start.Seconds(), f.kind, f.target(), f.duration.Seconds())
}

// A plan is the faults of a run, in the order of their start.
type plan []fault

// chooseKinds returns the indices of the kinds with these names, or of all if there are none.
func chooseKinds(names []string) (chosen []int, err error) {
	for i, k := range kinds {
		if len(names) == 0 || slices.Contains(names, string(k.kind)) {
			chosen = append(chosen, i)
		}
	}
	if len(names) > len(chosen) {
		return nil, fmt.Errorf("%s: there is no such kind of fault, or it was named twice", strings.Join(names, ","))
	}
	return chosen, nil
}

// newPlan derives a plan from the seed and the kinds alone, which are indices of kinds. Each kind
// occurs once before any kind occurs again.
func newPlan(seed uint64, length time.Duration, replicas int, chosen []int) plan {
	rng := rand.New(rand.NewPCG(seed, 1))
	busyUntil := map[string]time.Duration{} // by target
	var p plan
	var deck []int
	for at := firstFault; ; at += time.Duration((0.4 + 1.2*rng.Float64()) * float64(meanInterval)) {
		if len(deck) == 0 {
			for _, i := range rng.Perm(len(chosen)) {
				deck = append(deck, chosen[i])
			}
		}
		k := kinds[deck[0]]
		deck = deck[1:]
		f := fault{start: at, kind: k.kind, targetKind: k.target, seed: rng.Uint64()}
		x := rng.Float64()
		f.duration = k.min + time.Duration(x*x*float64(k.max-k.min)) // mostly short
		if k.target.perReplica() {
			f.replica = rng.IntN(replicas)
		}
		f.start = max(f.start, busyUntil[f.target()])
		at = f.start
		if f.start+f.duration > length {
			return p
		}
		busyUntil[f.target()] = f.start + f.duration + time.Second // a new start takes a moment
		p = append(p, f)
	}
}

func (p plan) print(out io.Writer) {
	printLine(out, "soak: plan of %d faults:", len(p))
	for i := range p {
		printLine(out, "%s", &p[i])
	}
}
