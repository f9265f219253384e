package diagnose

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// explainSlow says which part of the way slow steps have spent their time on.
func explainSlow(f *Facts) (all []Finding) {
	way := f.medianMS(func(a *Attempt) bool { return a.Probe == "upgrade" && a.OK })
	var worst Slow // of the steps that need a store
	onTheWay := Finding{Cause: "slow", Level: warning, Side: network}
	inStores := Finding{Cause: "stores_slow", Level: warning, Side: operator}
	for _, s := range f.Slow {
		text := fmt.Sprintf("the step %s takes %s, and its limit is %s", s.Step, milliseconds(s.MS), milliseconds(s.LimitMS))
		if slices.Contains([]string{"name", "tcp", "tls", "http", "upgrade", "echo", "browser"}, s.Step) || way*2 > s.MS {
			onTheWay.Evidence = append(onTheWay.Evidence, text)
			continue
		}
		inStores.Evidence = append(inStores.Evidence, text)
		if worst.Step != "handshake" && s.MS > worst.MS || s.Step == "handshake" {
			worst = s
		}
	}
	if len(onTheWay.Evidence) > 0 {
		all = append(all, onTheWay)
	}
	if worst.MS == 0 {
		return all
	}
	inStores.Evidence = append(inStores.Evidence, fmt.Sprintf("a socket at /ws/test/, which needs no store, opens in %s", milliseconds(way)))
	word, evidence := f.slowStore(worst, way)
	inStores.Cause, inStores.Evidence = word, append(inStores.Evidence, evidence...)
	switch {
	case word == "slow":
		inStores.Cure = "Look at the processors of the replicas: CPU limits and throttling, other work on the node, many sign-ins at once (roomspa_logins_waiting). Give them more cores. A limit of the ingress for /login/ looks the same."
	case word == "stores_slow" && len(f.quickPostgres(worst)) > 0:
		inStores.Cure = "Postgres answers quickly now. Look at the processors of the replicas (CPU limits and throttling), and at waits for connections to Postgres (roomspa_database_acquires_waiting)."
	}
	return append(all, inStores)
}

// slowStore tells which store a slow step waits for: as the replicas say, or else by the time of a
// message that passes Redis alone. It is slow if a sign-in waits for a processor instead.
func (f *Facts) slowStore(s Slow, way float64) (word string, evidence []string) {
	for _, r := range f.Replicas {
		for _, c := range r.Checks {
			if c.OK && c.TookMS > slowStoreMS && c.TookMS > s.MS/20 && (c.Name == "postgres" || c.Name == "redis" || c.Name == "channel_layer") {
				word = map[bool]string{true: "postgres_slow", false: "redis_slow"}[c.Name == "postgres"]
				evidence = append(evidence, fmt.Sprintf("replica %s: its check of %s takes %s", r.Name, c.Name, milliseconds(c.TookMS)))
			}
		}
	}
	var probes []float64
	for _, m := range f.Messages {
		if m.Error == "" {
			probes = append(probes, m.MS)
		}
	}
	if word != "" {
		return word, evidence
	}
	redis := median(probes)
	if len(probes) > 0 {
		evidence = append(evidence, fmt.Sprintf("a message through Redis takes %s", milliseconds(redis)))
	}
	quick := f.quickPostgres(s)
	switch rest := s.MS - way - redis; {
	case redis > s.MS*0.4:
		return "redis_slow", evidence
	case len(quick) > 0 && s.Step == "sign-in":
		return "slow", append(append(evidence, quick...), "the sign-in probably waits for a processor, to hash the password")
	case len(quick) > 0 || len(probes) == 0:
		return "stores_slow", append(evidence, quick...)
	case rest > s.MS*0.6:
		return "postgres_slow", append(evidence, fmt.Sprintf("the rest of the %s, about %s, is spent on Postgres", s.Step, milliseconds(rest)))
	}
	return "stores_slow", evidence
}

// quickPostgres returns the evidence against Postgres as the reason of a slow step. There is none
// against a message that is stored slowly: reading may be quick where writing is not.
func (f *Facts) quickPostgres(s Slow) (evidence []string) {
	if s.Step == "stored" {
		return nil
	}
	for _, r := range f.Replicas {
		for _, c := range r.Checks {
			if c.Name != "postgres" {
				continue
			}
			if !c.OK || c.TookMS >= s.MS/20 {
				return nil // the step may have run on this replica
			}
			evidence = append(evidence, fmt.Sprintf("replica %s: its check of postgres takes %s", r.Name, milliseconds(c.TookMS)))
		}
	}
	for _, probe := range []string{"handshake", "history"} {
		if took := f.medianMS(func(a *Attempt) bool { return a.Probe == probe && a.OK }); took > 0 && took < s.MS/5 {
			evidence = append(evidence, fmt.Sprintf("the %s, which asks Postgres, takes %s", probe, milliseconds(took)))
		}
	}
	return evidence
}

// slowStoreMS is the duration of a readiness check above which a store is slow.
const slowStoreMS = 200

func (f *Facts) medianMS(which func(*Attempt) bool) float64 {
	var all []float64
	for _, a := range f.attempts(which) {
		all = append(all, cmp.Or(a.TotalMS, a.MS))
	}
	return median(all)
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}

func milliseconds(ms float64) string {
	return durationText(time.Duration(ms * float64(time.Millisecond)))
}
