package app_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

// sum returns the sum of all lines of a metric, of both replicas.
func (x *intruder) sum(t *testing.T, metric string) float64 {
	t.Helper()
	return sum(t, x.a, metric) + sum(t, x.b, metric)
}

func sum(t *testing.T, r *world.Replica, metric string) (n float64) {
	t.Helper()
	_, _, body := world.Get(t, r.Ops("/metrics"))
	for line := range strings.Lines(string(body)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if family, _, _ := strings.Cut(name, "{"); family == metric {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			n += v
		}
	}
	return n
}

// unmoved are metrics that nothing of an intruder may change.
var unmoved = []string{
	"roomspa_resets_total", "roomspa_revoked_sockets_total", "roomspa_revocation_notices_total",
	"roomspa_rebalanced_connections_total", "roomspa_resubscriptions_total", "roomspa_replicas_unheard", "roomspa_tickets_total",
}

// expectNoEffect runs what the intruder does. Then it requires that sockets are open and were sent nothing, that the replicas
// have asked Postgres nothing because of it, and that messages and positions arrive as before.
func (x *intruder) expectNoEffect(t *testing.T, do func()) {
	t.Helper()
	before := map[string]float64{}
	for _, m := range append([]string{"roomspa_gap_repairs_total", "roomspa_sweeps_total"}, unmoved...) {
		before[m] = x.sum(t, m)
	}
	do()
	x.say(t)
	x.move(t)
	for _, all := range [][]*world.Socket{x.chats, x.locations, x.others} {
		for _, s := range all {
			s.ExpectNothing(t)
		}
	}
	for _, m := range unmoved {
		if got := x.sum(t, m); got != before[m] {
			t.Errorf("%s was %v and is %v", m, before[m], got)
		}
	}
	grown := func(m string) float64 { return x.sum(t, m) - before[m] }
	if n := grown("roomspa_gap_repairs_total"); n > 3*grown("roomspa_sweeps_total") {
		t.Errorf("sockets have looked %v times for messages; a sweep may make each do so once, for a message that is on its way", n)
	}
	x.expectOnlyPeriodicQueries(t)
}

// expectOnlyPeriodicQueries requires that there were no more sweeps and checks than the time explains. They are periodic, with
// at least 5 s and 22.5 s between two of them; each replica starts with a few.
func (x *intruder) expectOnlyPeriodicQueries(t *testing.T) {
	t.Helper()
	for _, r := range []*world.Replica{x.a, x.b} {
		sweeps, checks := sum(t, r, "roomspa_sweeps_total"), sum(t, r, "roomspa_revocation_checks_total")
		if s := time.Since(x.began).Seconds(); sweeps > s/5+4 || checks > s/22.5+4 {
			t.Errorf("%v sweeps and %v checks in %v s", sweeps, checks, s)
		}
	}
}
