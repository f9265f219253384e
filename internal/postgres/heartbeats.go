package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/event"
	"github.com/roomspa/roomspa/internal/room"
)

// upsertHeartbeat is the first statement of its transaction, so now() is when it arrives.
const upsertHeartbeat = `
INSERT INTO roomspa.replicas (id, name, hears, signs, accepts, seen_at, clock_offset, version, up, settings)
VALUES ($1, $2, make_interval(secs => $3::float8), $4, $5::text[], now(), $6::timestamptz - now(), $7, make_interval(secs => $8::float8), $9::jsonb)
ON CONFLICT (id) DO UPDATE SET
	name = excluded.name, hears = excluded.hears, signs = excluded.signs, accepts = excluded.accepts,
	seen_at = excluded.seen_at, clock_offset = excluded.clock_offset, version = excluded.version, up = excluded.up, settings = excluded.settings`

const otherHeartbeats = `
SELECT id, name, extract(epoch FROM hears)::float8, signs, accepts, greatest(0, extract(epoch FROM now() - seen_at))::float8,
	extract(epoch FROM clock_offset)::float8, version, extract(epoch FROM up)::float8, settings::text
FROM roomspa.replicas WHERE id <> $1 AND seen_at > now() - make_interval(secs => $2::float8)
ORDER BY seen_at DESC LIMIT 1000`

// deleteOldHeartbeats skips rows that another replica is deleting. An hour is the longest
// maxAge of a caller: for so long a replica that does not renew its heartbeat is missed. One of
// the same name whose last heartbeat came before this replica started was its predecessor, for example
// the container of the pod before it was killed. It is not missed, not even after this
// replica has shut down.
const deleteOldHeartbeats = `
DELETE FROM roomspa.replicas WHERE id = ANY (ARRAY(
	SELECT id FROM roomspa.replicas
	WHERE seen_at < now() - interval '1 hour' OR name = $1 AND seen_at < now() - make_interval(secs => $2::float8)
	LIMIT 100 FOR UPDATE SKIP LOCKED
))`

// Heartbeat stores a replica's heartbeat, and returns the deployment and the heartbeats of
// the other replicas that are younger than maxAge. It also deletes the heartbeats of
// predecessors, those that are an hour old, and keys that have expired.
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
	b.Queue(upsertHeartbeat, own.ID, own.Replica, own.HeardSelf.Seconds(), own.SigningKey, own.AcceptedKeys, time.Now(),
		own.Version, own.Uptime.Seconds(), encodeSettings(own.Settings))
	b.Queue(deleteOldHeartbeats, own.Replica, own.Uptime.Seconds())
	b.Queue(otherHeartbeats, own.ID, maxAge.Seconds()).Query(func(rows pgx.Rows) (err error) {
		*others, err = pgx.CollectRows(rows, readHeartbeat)
		return err
	})
}

func readHeartbeat(row pgx.CollectableRow) (o room.Heartbeat, err error) {
	var heardSelf, age, offset, up float64
	var settings string
	err = row.Scan(&o.ID, &o.Replica, &heardSelf, &o.SigningKey, &o.AcceptedKeys, &age, &offset, &o.Version, &up, &settings)
	o.HeardSelf, o.Age, o.ClockOffset, o.Uptime = seconds(heardSelf), seconds(age), seconds(offset), seconds(up)
	_ = json.Unmarshal([]byte(settings), &o.Settings) // of another form: unknown
	if len(o.Settings) == 0 {
		o.Settings = nil
	}
	return o, err //nolint:wrapcheck // the caller names the operation
}

func encodeSettings(settings map[string]string) string {
	b, err := json.Marshal(settings)
	if err != nil || settings == nil {
		return "{}"
	}
	return string(b)
}

// Heartbeats returns the heartbeats of all replicas that are younger than maxAge.
func (db *DB) Heartbeats(ctx context.Context, maxAge time.Duration) (all []room.Heartbeat, err error) {
	err = db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, otherHeartbeats, "", maxAge.Seconds())
		if err == nil {
			all, err = pgx.CollectRows(rows, readHeartbeat)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read heartbeats: %w", err)
	}
	return all, nil
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
