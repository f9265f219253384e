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
	minUsers     = 3               // users in a cluster, and
	minNetworks  = 2               // client networks: one client alone must not suggest a proxy
)

// A cut is the end of an idle connection without a close frame.
type cut struct {
	at      time.Time
	idle    time.Duration
	user    int64
	network string
}

// A cluster is a number of recent cuts at about the same idle time. It is empty if there is none.
type cluster struct {
	idle                  time.Duration
	cuts, users, networks int
}

// A detector remembers the latest cuts. It uses no clock and no lock.
type detector struct {
	cuts []cut
	next int // the oldest one, once there are maxCuts
}

// add records a cut. It ignores connections that were in use, and those of nobody: anybody can
// open and cut them.
func (d *detector) add(c cut) {
	if c.idle < minIdle || c.user == 0 {
		return
	}
	if len(d.cuts) < maxCuts {
		d.cuts = append(d.cuts, c)
		return
	}
	d.cuts[d.next] = c
	d.next = (d.next + 1) % maxCuts
}

// cluster returns the idle time at which recent cuts cluster, and its witnesses.
func (d *detector) cluster(now time.Time) (found cluster) {
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
	users := distinct(best, func(c cut) int64 { return c.user })
	networks := distinct(best, func(c cut) string { return c.network })
	events := distinct(best, func(c cut) int64 { return c.at.UnixNano() / int64(eventSlot) })
	if len(best) < minCluster || float64(len(best)) < minShare*float64(len(recent)) || events < minEvents || users < minUsers || networks < minNetworks {
		return found
	}
	others := float64(len(recent) - len(best))
	spread := recent[len(recent)-1].idle - minIdle
	if even := others * float64(clusterWidth) / float64(max(spread, clusterWidth)); float64(len(best)) < minLift*even {
		return found
	}
	return cluster{best[len(best)/2].idle.Round(100 * time.Millisecond), len(best), users, networks}
}

// distinct returns how many values of a kind the cuts have. For events these are the separate
// times: a restart of a proxy cuts many connections at once, and those may have been idle for
// the same time.
func distinct[T comparable](cuts []cut, value func(cut) T) int {
	values := map[T]struct{}{}
	for _, c := range cuts {
		values[value(c)] = struct{}{}
	}
	return len(values)
}
