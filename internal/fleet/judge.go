package fleet

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

const (
	// MissedFor is the time for which a replica that does not renew its heartbeat is missed.
	MissedFor = time.Hour
	// hungAfter is the time after which a replica that is not heard counts as hung.
	hungAfter = 30 * time.Second
	// mixedAfter is the time that replicas of different versions may run beside each other: an
	// update takes less.
	mixedAfter = 30 * time.Minute
	// maxSetting is the number of bytes of a setting that are shown.
	maxSetting = 80
)

// RedisAddress is the name of the setting that may differ as long as replicas hear each other:
// one Redis has several names.
const RedisAddress = "redis-url (address)"

// A view is what a replica knows of the others beside their stored heartbeats.
type view struct {
	now       time.Time
	started   time.Time            // of this replica
	heardSelf time.Time            // since when it hears itself; zero if it does not
	heard     map[string]time.Time // last event of each replica, by id
	unheard   map[string]string    // those that were not heard at the last comparison
	settled   bool                 // this replica has stored its own heartbeats for long enough to miss those of others
}

// Compare returns what is wrong between replicas, by their stored heartbeats alone. own is what a
// replica would store that is about to start.
func Compare(own room.Heartbeat, others []room.Heartbeat) []error {
	v := view{now: time.Now(), settled: true}
	return v.judge(own, others).findings()
}

// judge compares the heartbeats of the other replicas with the own one.
func (v *view) judge(own room.Heartbeat, others []room.Heartbeat) found {
	all, names := found{}, map[string]bool{own.Replica: true}
	for _, o := range others {
		if o.Age <= maxAge {
			names[o.Replica] = true
		}
	}
	for _, o := range others {
		if o.Age > maxAge {
			// A live replica of the same name has taken its place.
			if silence := min(o.Age, v.now.Sub(v.heard[o.ID])); v.settled && silence > hungAfter && !names[o.Replica] {
				all.add(hungReplicas, o.ID, fmt.Sprintf("%s (for %s)", o.Replica, silence.Round(time.Second)))
			}
			continue
		}
		if o.ClockOffset.Abs() > maxSkew {
			all.add(clockSkew, o.ID, o.Replica) // its heartbeats may be dropped as too old, which is no split
			continue
		}
		_, before := v.unheard[o.ID]
		h := hears(v.now, v.heardSelf, v.heard[o.ID], o)
		split := h == silent || h == unsure && before
		if split {
			all.add(splitLayer, o.ID, o.Replica)
		}
		if d := differences(own.Settings, o.Settings, split); d != "" {
			all.add(differentOptions, o.ID, o.Replica+" ("+d+")")
		}
		if own.Version != "" && o.Version != "" && own.Version != o.Version && min(own.Uptime, o.Uptime) > mixedAfter {
			all.add(mixedVersions, o.ID, fmt.Sprintf("%s (%s, here %s)", o.Replica, o.Version, own.Version))
		}
		// A replica that ended before this one started may have had the secrets of its time.
		if v.now.Add(-o.Age).After(v.started) && refuse(own, o) {
			all.add(differentSecrets, o.ID, o.Replica)
		}
	}
	return all
}

// differences returns the settings of another replica that differ from the own ones, as text. What
// one of the two does not know is not compared.
func differences(own, other map[string]string, split bool) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(own)) {
		theirs, known := other[name]
		if known && theirs != own[name] && (split || name != RedisAddress) {
			all = append(all, fmt.Sprintf("--%s: %s, here %s", name, show(theirs), show(own[name])))
		}
	}
	return strings.Join(all, "; ")
}

func show(setting string) string {
	switch {
	case setting == "":
		return "not set"
	case len(setting) > maxSetting:
		return strings.ToValidUTF8(setting[:maxSetting], "") + "…"
	}
	return setting
}
