package postgres

import (
	"fmt"
	"log/slog"

	"github.com/roomspa/roomspa/internal/logging"
)

const component = "Database"

// logCopy logs that this database is a copy of another one and has a new deployment id.
func logCopy(log *slog.Logger, original, id string) {
	logging.Component(log, slog.LevelWarn, component, fmt.Sprintf(
		"Copied database found: it has the new deployment id %s, and the original, if it still exists, keeps %s; the replicas of the two ignore each other in Redis", id, original),
		slog.String("deployment", id), slog.String("original", original))
}

// logChange logs that a running replica has found another deployment or timeline.
func (db *DB) logChange(s *snapshot, raised bool) {
	k := &db.known
	const next = "open sockets go on from what the database has now"
	id, timeline := slog.String("deployment", s.ID), slog.Int64("timeline", s.Timeline)
	restored := slog.String("cause", "database_restored")
	switch {
	case k.id == "": // the first heartbeat
	case raised:
		logging.Component(db.log, slog.LevelError, component, fmt.Sprintf(
			"Database went back in time: %s; raised the timeline to %d; %s", k.wentBack, s.Timeline, next), restored, id, timeline)
	case s.ID == k.id:
		logging.Component(db.log, slog.LevelWarn, component, fmt.Sprintf(
			"Database went back in time: another replica raised the timeline from %d to %d; %s", k.timeline, s.Timeline, next), restored, id, timeline)
	default:
		logging.Component(db.log, slog.LevelWarn, component, fmt.Sprintf(
			"Database replaced: its deployment id is %s and was %s; %s", s.ID, k.id, next), id, timeline)
	}
}
