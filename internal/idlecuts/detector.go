// Package idlecuts detects proxies that cut idle connections. No single connection
// shows that; many do together, when they end without a close frame at about the same
// idle time.
package idlecuts

import (
	"slices"
	"time"
)

// Thresholds of a cluster. Peers that leave for reasons of their own do so at any time
// between two pings, so their idle times are spread.
const (
	maxCuts      = 256              // cuts that are remembered, the latest ones
	window       = 30 * time.Minute // age up to which they count
	minIdle      = 4 * time.Second  // below it, a connection was in use
	clusterWidth = 2 * time.Second
	minCluster   = 12              // cuts in a cluster
	minShare     = 0.4             // of all cuts in the window
	minLift      = 4               // times the number in an even distribution
	eventSlot    = 5 * time.Second // cuts within one slot of the clock are one event
	minEvents    = 4               // events in a cluster
)

// A cut is the end of an idle connection without a close frame.
type cut struct {
	at   time.Time
	idle time.Duration
}

// A detector remembers the latest cuts. It uses no clock and no lock.
type detector struct {
	cuts []cut
	next int // the oldest one, once there are maxCuts
}

func (d *detector) add(at time.Time, idle time.Duration) {
	if idle < minIdle {
		return
	}
	c := cut{at, idle}
	if len(d.cuts) < maxCuts {
		d.cuts = append(d.cuts, c)
		return
	}
	d.cuts[d.next] = c
	d.next = (d.next + 1) % maxCuts
}

// cluster returns the idle time at which recent cuts cluster, and how many cuts are
// in the cluster. Both are 0 if there is none.
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
		for j < len(recent) && recent[j].idle-recent[i].idle <= clusterWidth {
			j++
		}
		if j-i > len(best) {
			best = recent[i:j]
		}
	}
	if len(best) < minCluster || float64(len(best)) < minShare*float64(len(recent)) || countEvents(best) < minEvents {
		return 0, 0
	}
	others := float64(len(recent) - len(best))
	spread := recent[len(recent)-1].idle - minIdle
	if even := others * float64(clusterWidth) / float64(max(spread, clusterWidth)); float64(len(best)) < minLift*even {
		return 0, 0
	}
	return best[len(best)/2].idle.Round(100 * time.Millisecond), len(best)
}

// countEvents returns at how many separate times connections were cut. A restart of a
// proxy cuts many at once, and those may have been idle for the same time.
func countEvents(cuts []cut) int {
	slots := map[int64]bool{}
	for _, c := range cuts {
		slots[c.at.UnixNano()/int64(eventSlot)] = true
	}
	return len(slots)
}
