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

var (
	splitLayer = problem{
		"split_channel_layer", slog.LevelError,
		"Channel layer split", "replicas share Postgres, but their heartbeats do not arrive over Redis",
		"Channel layer no longer split: the heartbeats of all replicas arrive over Redis",
	}
	differentSecrets = problem{
		"different_secrets", slog.LevelWarn,
		"JWT secrets differ", "replicas refuse each other's tokens",
		"JWT secrets no longer differ: all replicas accept each other's tokens",
	}
	redisShared = problem{
		"redis_shared", slog.LevelWarn,
		"Redis shared", "another deployment uses the same Redis with the same prefix",
		"Redis no longer shared with another deployment",
	}
	clockSkew = problem{
		"replica_clock_skew", slog.LevelWarn,
		"Clock skew", "the clocks of replicas differ from that of Postgres by more than 5s",
		"No more clock skew: the clocks of all replicas are close to that of Postgres",
	}
)

func (p problem) text(replicas map[string]string) string { return p.detail + ": " + names(replicas) }

// Finding returns what is wrong between the replicas, or nil. It performs no I/O.
func (f *Fleet) Finding() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.failure != nil:
		return fmt.Errorf("store heartbeat of this replica: %w", f.failure)
	case len(f.skewed) > 0:
		return &finding{clockSkew.cause, clockSkew.text(f.skewed)}
	case len(f.unheard) > 0:
		return &finding{splitLayer.cause, splitLayer.text(f.unheard)}
	case len(f.strangers) > 0:
		return &finding{differentSecrets.cause, differentSecrets.text(f.strangers)}
	case len(f.sharing) > 0:
		return &finding{redisShared.cause, redisShared.text(f.sharing)}
	}
	return nil
}

// logChange logs a problem when it concerns a replica that it did not concern before,
// and when it has ended.
func (f *Fleet) logChange(p problem, before, now map[string]string) {
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
