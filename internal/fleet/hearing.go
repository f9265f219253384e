package fleet

import (
	"slices"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

const (
	// every is how often a replica leaves a sign of life, and looks at those of the
	// others.
	every = 10 * time.Second
	// within is how old a sign of life may be, two that did not come: its replica is
	// gone after that.
	within = 2*every + every/2
	// patience is how long two replicas that hear themselves may not hear each other,
	// for it to be no accident: half a dozen notices that did not come.
	patience = 30 * time.Second
	// gap is how long a replica may hear nothing of itself and still be one that hears:
	// three notices.
	gap = patience / 2
)

// A hearing is what is known of another replica.
type hearing int

const (
	unsure  hearing = iota // one of the two does not hear itself, or has not for long
	audible                // it is heard
	silent                 // it is not, and should be
)

// hears says whether a replica that has heard itself since some time (zero where it
// does not) hears another one, of whose notices the last came at last (zero for none).
//
// It looks at the time up to the other's last sign of life, and no further: a replica
// that has died since is silent for a good reason. And it says nothing of a replica
// that is not heard by itself: that is an outage, which says so by itself, or a start.
// Until it is sure it blames nobody.
func hears(now, since, last time.Time, o room.Beat) hearing {
	beat := now.Add(-o.Age)
	switch {
	case !last.IsZero() && beat.Sub(last) < patience:
		return audible
	case since.IsZero() || beat.Sub(since) < patience || o.Hears < patience:
		return unsure
	}
	return silent
}

// differ reports whether one of two replicas refuses the tokens that the other signs.
// Two sets of secrets that are not the same may well do: while one is rotated in
// the right order each has the other's key.
func differ(a, b room.Beat) bool {
	return !slices.Contains(a.Accepts, b.Signs) || !slices.Contains(b.Accepts, a.Signs)
}
