package auth

import (
	"hash/maphash"
	"math"
	"time"
)

const (
	// tallyHalfLife is the time after which a turn counts half. It is long, because an attacker
	// with n networks uses each of them only every n turns.
	tallyHalfLife = 10 * time.Minute
	// refused is what a network counts at least after it was refused. A network that has just
	// come ranks before those that keep asking, but being refused again costs nothing.
	refused = 0.5

	tallyRows = 4
	tallyBits = 12 // of the index of a counter in its row
)

// A tally counts the turns of clients by network in 64 KiB, whatever number of networks there
// is. It is a count-min sketch with counts that fade: networks may share a counter, so a count
// can be too high, but the chance that all counters of a network are shared is small. It is not
// safe for concurrent use.
type tally struct {
	seed  maphash.Seed
	rows  [tallyRows][1 << tallyBits]float32
	faded time.Time
}

func newTally() *tally { return &tally{seed: maphash.MakeSeed(), faded: time.Now()} }

func (t *tally) counters(c Client) (all [tallyRows]*float32) {
	h := maphash.Comparable(t.seed, c)
	for i := range all {
		all[i] = &t.rows[i][h>>(i*tallyBits)&(1<<tallyBits-1)]
	}
	return all
}

func (t *tally) add(c Client, turns float32) {
	for _, n := range t.counters(c) {
		*n = max(0, *n+turns)
	}
}

func (t *tally) refuse(c Client) {
	for _, n := range t.counters(c) {
		*n = max(refused, *n)
	}
}

func (t *tally) count(c Client) float64 {
	least := float32(math.MaxFloat32)
	for _, n := range t.counters(c) {
		least = min(least, *n)
	}
	return float64(least)
}

// fade halves the counts for each half-life that has passed.
func (t *tally) fade() {
	lives := time.Since(t.faded) / tallyHalfLife
	if lives <= 0 {
		return
	}
	t.faded = t.faded.Add(lives * tallyHalfLife)
	left := float32(math.Exp2(-float64(lives)))
	for i := range t.rows {
		for j := range t.rows[i] {
			t.rows[i][j] *= left
		}
	}
}
