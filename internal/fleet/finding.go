package fleet

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/roomspa/roomspa/internal/logging"
)

// A finding describes a misconfiguration that involves more than one replica.
type finding struct{ cause, detail string }

func (f *finding) Error() string { return f.detail }

// Cause returns the word of package cause for the finding.
func (f *finding) Cause() string { return f.cause }

// A problem is a kind of finding.
type problem struct {
	cause  string
	level  slog.Level
	event  string // for the log
	detail string
	end    string // for the log, when it has ended
}

// found are the names of the replicas that each problem concerns, by id.
type found map[*problem]map[string]string

func (f found) add(p *problem, id, name string) {
	if f[p] == nil {
		f[p] = map[string]string{}
	}
	f[p][id] = name
}

// findings returns the problems as errors, the most important one first.
func (f found) findings() (all []error) {
	for _, p := range problems {
		if len(f[p]) > 0 {
			all = append(all, &finding{p.cause, p.text(f[p])})
		}
	}
	return all
}

func (p *problem) text(replicas map[string]string) string { return p.detail + ": " + names(replicas) }

// Findings returns what is wrong between the replicas, the most important finding first. It
// performs no I/O.
func (f *Fleet) Findings() (all []error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failure != nil {
		all = append(all, fmt.Errorf("store heartbeat of this replica: %w", f.failure))
	}
	return append(all, f.found.findings()...)
}

// Finding returns the first of Findings, or nil.
func (f *Fleet) Finding() error {
	if all := f.Findings(); len(all) > 0 {
		return all[0]
	}
	return nil
}

// update replaces the replicas that a problem concerns. It logs when that is a replica that it
// did not concern before, and when the problem has ended. The caller holds f.mu.
func (f *Fleet) update(p *problem, now map[string]string) {
	before := f.found[p]
	isNew := func(id string) bool {
		_, known := before[id]
		return !known
	}
	switch {
	case slices.ContainsFunc(slices.Collect(maps.Keys(now)), isNew):
		logging.Component(f.log, p.level, component, p.event+": "+p.text(now), slog.String("cause", p.cause))
	case len(now) == 0 && len(before) > 0:
		logging.Component(f.log, slog.LevelInfo, component, p.end, slog.String("cause", p.cause))
	}
	f.found[p] = now
	f.metrics[p].Set(float64(len(now)))
}

// names returns the names of replicas, sorted, at most maxNames of them.
func names(replicas map[string]string) string {
	const maxNames = 10
	all := slices.Sorted(maps.Values(replicas))
	if more := len(all) - maxNames; more > 0 {
		all = append(all[:maxNames], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(all, ", ")
}
