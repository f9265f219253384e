package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/roomspa/roomspa/internal/event"
)

// lockDeployment makes the statements after it see the newest version of the row, and
// nobody else change it before the commit.
const lockDeployment = `SELECT id FROM roomspa.deployment WHERE only_row FOR UPDATE`

// adoptOrigin gives a copy of a database a deployment id and a key of its own, and changes
// nothing in a database that is none. A statement before it has locked the row, so only one
// of several callers does so. With the key of the original, whoever may read the copy could
// read and forge what the original's replicas send each other.
const adoptOrigin = `
WITH copied AS (
	SELECT FROM roomspa.deployment WHERE only_row AND origin <> roomspa.origin()
), adopted AS (
	UPDATE roomspa.deployment
	SET id = CASE WHEN origin IS NULL THEN id ELSE left(encode(sha256(uuid_send(gen_random_uuid())), 'hex'), 16) END,
		origin = roomspa.origin()
	WHERE only_row AND roomspa.origin() IS NOT NULL AND origin IS DISTINCT FROM roomspa.origin()
), deleted AS (
	DELETE FROM roomspa.master_keys WHERE EXISTS (SELECT FROM copied)
)
INSERT INTO roomspa.master_keys (id, secret, seals_at)
SELECT substring(sha256(uuid_send(gen_random_uuid())) FROM 1 FOR 4),
	sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())),
	now()
FROM copied`

const countHeartbeat = `
UPDATE roomspa.deployment SET heartbeats = heartbeats + 1 WHERE only_row RETURNING id, timeline, heartbeats`

const selectDeployment = `SELECT id, timeline, heartbeats FROM roomspa.deployment WHERE only_row`

// raiseTimeline changes nothing if another replica has raised the timeline above the one
// that is given.
const raiseTimeline = `
UPDATE roomspa.deployment SET timeline = greatest(timeline, $2) + 1 WHERE only_row AND id = $1 AND timeline <= $2`

// A snapshot is the deployment as one transaction has read it.
type snapshot struct {
	event.Deployment
	heartbeats int64
	copyOf     string       // the deployment id of the original, if the transaction found that this is a copy
	missing    int          // messages that this process has committed and that are gone
	newest     recentCommit // the newest message that it has looked for
}

// queueSnapshot queues the statements of a heartbeat that read the deployment, and that
// give a copy a new id.
func (db *DB) queueSnapshot(b *pgx.Batch, s *snapshot) {
	var before string
	b.Queue(lockDeployment).QueryRow(func(row pgx.Row) error { return requireDeployment(row.Scan(&before)) })
	b.Queue(adoptOrigin)
	b.Queue(countHeartbeat).QueryRow(func(row pgx.Row) error {
		if err := s.scan(row); err != nil {
			return err
		}
		if before != s.ID {
			s.copyOf = before
		}
		return nil
	})
	b.Queue(deleteExpiredKeys)
	queueKeys(b, &s.Deployment)
	conversations, seqs, ids, newest := db.recent.columns()
	if s.newest = newest; len(ids) > 0 {
		b.Queue(countMissing, conversations, seqs, ids).QueryRow(func(row pgx.Row) error { return row.Scan(&s.missing) })
	}
}

func (s *snapshot) scan(row pgx.Row) error {
	return requireDeployment(row.Scan(&s.ID, &s.Timeline, &s.heartbeats))
}

func requireDeployment(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return newFailure(causeOther, "the table roomspa.deployment is empty")
	}
	return err
}

// markCopy gives a copy of a database a new deployment id, as a heartbeat does.
func markCopy(ctx context.Context, db *sql.DB, log *slog.Logger) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after the commit
	var before, id string
	if err := tx.QueryRowContext(ctx, lockDeployment).Scan(&before); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, adoptOrigin); err != nil {
		return err
	}
	if err := tx.QueryRowContext(ctx, lockDeployment).Scan(&id); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	if before != id {
		logCopy(log, before, id)
	}
	return nil
}

// Deployment returns the identity of the deployment, and changes nothing. It is for
// commands: a replica learns it from [DB.Heartbeat].
func (db *DB) Deployment(ctx context.Context) (event.Deployment, error) {
	var s snapshot
	b := db.newWrite()
	b.Queue(selectDeployment).QueryRow(s.scan)
	queueKeys(b, &s.Deployment)
	if err := db.send(ctx, b); err != nil {
		return event.Deployment{}, fmt.Errorf("read the deployment: %w", err)
	}
	return s.Deployment, nil
}

// A knownDeployment is what this process knows about the deployment from its last heartbeat.
type knownDeployment struct {
	mu         sync.Mutex // held for a whole heartbeat, so that their results are compared in order
	id         string     // "" before the first heartbeat
	timeline   int64
	heartbeats int64  // the highest number that it has seen on the timeline
	wentBack   string // why the timeline has to be raised, until that is done
}

// compare compares a snapshot with what the process knows. If the database has gone back
// in time it raises the timeline, and s is what it reads then. The caller holds
// db.known.mu.
func (db *DB) compare(ctx context.Context, s *snapshot) error {
	k := &db.known
	if s.copyOf != "" {
		logCopy(db.log, s.copyOf, s.ID)
	}
	raised := false
	if s.ID == k.id && s.Timeline <= k.timeline {
		k.wentBack = cmp.Or(k.wentBack, k.restoreReason(s))
		if k.wentBack != "" {
			var err error
			if raised, err = db.raise(ctx, s); err != nil {
				return err // the next heartbeat tries again
			}
		}
	}
	if s.ID != k.id || s.Timeline != k.timeline {
		db.logChange(s, raised)
		db.recent.clear()
		if k.id != "" {
			db.pool.Reset() // other connections may still lead to the server of before
		}
	} else {
		db.recent.confirm(s.newest)
	}
	k.id, k.timeline, k.heartbeats, k.wentBack = s.ID, s.Timeline, s.heartbeats, ""
	return nil
}

// restoreReason returns how a snapshot of the same deployment, on no later timeline, shows
// that the database has gone back in time, or "" if it does not.
func (k *knownDeployment) restoreReason(s *snapshot) string {
	switch {
	case s.Timeline < k.timeline:
		return fmt.Sprintf("it is on timeline %d and was on %d", s.Timeline, k.timeline)
	case s.heartbeats <= k.heartbeats:
		return fmt.Sprintf("it has counted %d heartbeats and had counted %d", s.heartbeats, k.heartbeats)
	case s.missing > 0:
		return fmt.Sprintf("%d of the last messages that this replica stored are gone", s.missing)
	}
	return ""
}

// raise raises the timeline above the one that this process knows, unless another replica
// has done so, and reads the deployment again.
func (db *DB) raise(ctx context.Context, s *snapshot) (raised bool, err error) {
	var now snapshot
	b := db.newWrite()
	b.Queue(raiseTimeline, db.known.id, db.known.timeline).Exec(func(tag pgconn.CommandTag) error {
		raised = tag.RowsAffected() > 0
		return nil
	})
	b.Queue(selectDeployment).QueryRow(now.scan)
	queueKeys(b, &now.Deployment)
	if err := db.send(ctx, b); err != nil {
		return false, fmt.Errorf("raise the timeline: %w", err)
	}
	*s = now
	return raised, nil
}
