// Package closes looks at how sockets end, all of them together: a proxy that cuts idle
// connections shows only there, as ends without a Close that cluster at one idle age.
package idlecuts

import (
	"slices"
	"time"
)

// What makes a cluster. Peers that go away for reasons of their own do so at any time
// between two pings: what they look like together is spread.
const (
	remembered = 256              // cuts
	window     = 30 * time.Minute // that they are remembered for
	shortest   = 4 * time.Second  // idle; below it a connection was in use
	width      = 2 * time.Second  // of a cluster
	fewest     = 12               // cuts in a cluster
	share      = 0.4              // of all cuts of idle connections
	lift       = 4                // times what would be there if they were spread evenly
	slot       = 5 * time.Second  // of the clock: cuts within one are one event
	fewestOf   = 4                // events in a cluster
)

// A cut is the end of an idle connection without a Close.
type cut struct {
	at   time.Time
	idle time.Duration
}

// A detector remembers the latest cuts. It is pure: no clock, no lock.
type detector struct {
	cuts []cut
	next int
}

func (d *detector) add(at time.Time, idle time.Duration) {
	if idle < shortest {
		return
	}
	c := cut{at, idle}
	if len(d.cuts) < remembered {
		d.cuts = append(d.cuts, c)
		return
	}
	d.cuts[d.next] = c
	d.next = (d.next + 1) % remembered
}

// cluster returns the idle age at which the cuts of the last half hour cluster, and how
// many there are in the cluster; 0 for none.
func (d *detector) cluster(now time.Time) (idle time.Duration, n int) {
	recent := make([]cut, 0, len(d.cuts))
	for _, c := range d.cuts {
		if now.Sub(c.at) <= window {
			recent = append(recent, c)
		}
	}
	slices.SortFunc(recent, func(a, b cut) int { return int(a.idle - b.idle) })
	var best []cut
	for i, j := 0, 0; i < len(recent); i++ {
		for j < len(recent) && recent[j].idle-recent[i].idle <= width {
			j++
		}
		if j-i > len(best) {
			best = recent[i:j]
		}
	}
	if len(best) < fewest || float64(len(best)) < share*float64(len(recent)) || events(best) < fewestOf {
		return 0, 0
	}
	outside := float64(len(recent) - len(best))
	reach := recent[len(recent)-1].idle - shortest
	if even := outside * float64(width) / float64(max(reach, width)); float64(len(best)) < lift*even {
		return 0, 0
	}
	return best[len(best)/2].idle.Round(100 * time.Millisecond), len(best)
}

// events counts the moments at which connections were cut: a restart of something on the
// way cuts many at once, and those that were served together have been idle for as long.
func events(cuts []cut) int {
	seen := map[int64]bool{}
	for _, c := range cuts {
		seen[c.at.UnixNano()/int64(slot)] = true
	}
	return len(seen)
}
