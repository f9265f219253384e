package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/room"
)

// upsertHeartbeat is the first statement of its transaction, so now() is when it arrives.
const upsertHeartbeat = `
INSERT INTO roomspa.replicas (id, name, hears, signs, accepts, seen_at, clock_offset)
VALUES ($1, $2, make_interval(secs => $3::float8), $4, $5::text[], now(), $6::timestamptz - now())
ON CONFLICT (id) DO UPDATE SET
	name = excluded.name, hears = excluded.hears, signs = excluded.signs, accepts = excluded.accepts,
	seen_at = excluded.seen_at, clock_offset = excluded.clock_offset`

const otherHeartbeats = `
SELECT id, name, extract(epoch FROM hears)::float8, signs, accepts, greatest(0, extract(epoch FROM now() - seen_at))::float8,
	extract(epoch FROM clock_offset)::float8
FROM roomspa.replicas WHERE id <> $1 AND seen_at > now() - make_interval(secs => $2::float8)
ORDER BY name, id LIMIT 1000`

// deleteOldHeartbeats skips rows that another replica is deleting. Two minutes is far
// longer than any caller's maxAge.
const deleteOldHeartbeats = `
DELETE FROM roomspa.replicas WHERE id = ANY (ARRAY(
	SELECT id FROM roomspa.replicas WHERE seen_at < now() - interval '2 minutes' LIMIT 100 FOR UPDATE SKIP LOCKED
))`

// Heartbeat stores a replica's heartbeat, and returns the deployment and the heartbeats of
// the other replicas that are younger than maxAge. It also deletes heartbeats that are
// minutes old, and keys that have expired.
//
// A database that is a copy gets a new deployment id. A database that has gone back in time
// since the last heartbeat of this DB gets a new timeline. Of several replicas that find
// that, one changes it, and the others return what it has changed. Both are logged.
// Concurrent calls wait for each other.
func (db *DB) Heartbeat(ctx context.Context, own room.Heartbeat, maxAge time.Duration) (d event.Deployment, others []room.Heartbeat, err error) {
	failed := func(err error) (event.Deployment, []room.Heartbeat, error) {
		return event.Deployment{}, nil, fmt.Errorf("store heartbeat: %w", err)
	}
	if f := db.schemaProblem.Load(); f != nil {
		return failed(f) // the table may not exist; the probe has counted the failure
	}
	db.known.mu.Lock()
	defer db.known.mu.Unlock()
	var s snapshot
	err = db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		b := db.newWrite()
		queueHeartbeat(b, own, maxAge, &others) // with the time now, after the wait for a connection
		db.queueSnapshot(b, &s)
		return sendOn(ctx, conn, b)
	})
	if err != nil {
		return failed(err)
	}
	if err := db.compare(ctx, &s); err != nil {
		return failed(err)
	}
	return s.Deployment, others, nil
}

// RestoreSuspected returns a channel that receives a value when a message got a number that
// its conversation had already reached. The next heartbeat decides whether the database has
// gone back in time.
func (db *DB) RestoreSuspected() <-chan struct{} { return db.suspected }

func (db *DB) suspectRestore() {
	select {
	case db.suspected <- struct{}{}:
	default:
	}
}

func queueHeartbeat(b *pgx.Batch, own room.Heartbeat, maxAge time.Duration, others *[]room.Heartbeat) {
	b.Queue(upsertHeartbeat, own.ID, own.Replica, own.HeardSelf.Seconds(), own.SigningKey, own.AcceptedKeys, time.Now())
	b.Queue(deleteOldHeartbeats)
	b.Queue(otherHeartbeats, own.ID, maxAge.Seconds()).Query(func(rows pgx.Rows) (err error) {
		*others, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (o room.Heartbeat, err error) {
			var heardSelf, age, offset float64
			err = row.Scan(&o.ID, &o.Replica, &heardSelf, &o.SigningKey, &o.AcceptedKeys, &age, &offset)
			o.HeardSelf, o.Age, o.ClockOffset = seconds(heardSelf), seconds(age), seconds(offset)
			return o, err
		})
		return err
	})
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
