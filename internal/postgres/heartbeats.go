package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

const upsertHeartbeat = `
INSERT INTO roomspa.replicas (id, name, hears, signs, accepts, seen_at)
VALUES ($1, $2, make_interval(secs => $3::float8), $4, $5::text[], now())
ON CONFLICT (id) DO UPDATE SET
	name = excluded.name, hears = excluded.hears, signs = excluded.signs, accepts = excluded.accepts, seen_at = excluded.seen_at`

const otherHeartbeats = `
SELECT id, name, extract(epoch FROM hears)::float8, signs, accepts, greatest(0, extract(epoch FROM now() - seen_at))::float8
FROM roomspa.replicas WHERE id <> $1 AND seen_at > now() - make_interval(secs => $2::float8)
ORDER BY name, id LIMIT 1000`

// deleteOldHeartbeats skips rows that another replica is deleting. Two minutes is far
// longer than any caller's maxAge.
const deleteOldHeartbeats = `
DELETE FROM roomspa.replicas WHERE id = ANY (ARRAY(
	SELECT id FROM roomspa.replicas WHERE seen_at < now() - interval '2 minutes' LIMIT 100 FOR UPDATE SKIP LOCKED
))`

// Heartbeat stores a replica's heartbeat, and returns those of the other replicas that
// are younger than maxAge. It also deletes heartbeats that are minutes old.
func (db *DB) Heartbeat(ctx context.Context, own room.Heartbeat, maxAge time.Duration) (others []room.Heartbeat, err error) {
	failed := func(err error) error { return fmt.Errorf("store heartbeat: %w", err) }
	if f := db.schemaProblem.Load(); f != nil {
		return nil, failed(f) // the table may not exist; the probe has counted the failure
	}
	b := db.newWrite()
	b.Queue(upsertHeartbeat, own.ID, own.Replica, own.HeardSelf.Seconds(), own.SigningKey, own.AcceptedKeys)
	b.Queue(deleteOldHeartbeats)
	b.Queue(otherHeartbeats, own.ID, maxAge.Seconds()).Query(func(rows pgx.Rows) error {
		others, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (o room.Heartbeat, err error) {
			var heardSelf, age float64
			err = row.Scan(&o.ID, &o.Replica, &heardSelf, &o.SigningKey, &o.AcceptedKeys, &age)
			o.HeardSelf, o.Age = seconds(heardSelf), seconds(age)
			return o, err
		})
		return err
	})
	if err := db.send(ctx, b); err != nil {
		return nil, failed(err)
	}
	return others, nil
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

const deleteHeartbeat = `DELETE FROM roomspa.replicas WHERE id = $1`

// DeleteHeartbeat deletes a replica's heartbeat.
func (db *DB) DeleteHeartbeat(ctx context.Context, id string) error {
	b := db.newWrite()
	b.Queue(deleteHeartbeat, id)
	if err := db.send(ctx, b); err != nil {
		return fmt.Errorf("delete heartbeat: %w", err)
	}
	return nil
}
