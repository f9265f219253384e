package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

const beat = `
INSERT INTO roomspa.replicas (id, name, hears, signs, accepts, seen_at)
VALUES ($1, $2, make_interval(secs => $3::float8), $4, $5::text[], now())
ON CONFLICT (id) DO UPDATE SET
	name = excluded.name, hears = excluded.hears, signs = excluded.signs, accepts = excluded.accepts, seen_at = excluded.seen_at`

// otherReplicas is bounded like everything that is read at once. There is one row for
// each replica that has lately been there.
const otherReplicas = `
SELECT id, name, extract(epoch FROM hears)::float8, signs, accepts, greatest(0, extract(epoch FROM now() - seen_at))::float8
FROM roomspa.replicas WHERE id <> $1 AND seen_at > now() - make_interval(secs => $2::float8)
ORDER BY name, id LIMIT 1000`

// forgetReplicas skips what another replica is just deleting. Two minutes are far more
// than anybody asks for.
const forgetReplicas = `
DELETE FROM roomspa.replicas WHERE id = ANY (ARRAY(
	SELECT id FROM roomspa.replicas WHERE seen_at < now() - interval '2 minutes' LIMIT 100 FOR UPDATE SKIP LOCKED
))`

// Beat leaves a replica's sign of life, and returns those of the others that are
// younger than within. Replicas that were not seen for long are forgotten.
func (db *DB) Beat(ctx context.Context, own room.Beat, within time.Duration) (others []room.Beat, err error) {
	failed := func(err error) error { return fmt.Errorf("leave a sign of life: %w", err) }
	if f := db.mismatch.Load(); f != nil {
		return nil, failed(f) // the table may not be there; whoever has looked has counted it
	}
	b := db.writing()
	b.Queue(beat, own.ID, own.Replica, own.Hears.Seconds(), own.Signs, own.Accepts)
	b.Queue(forgetReplicas)
	b.Queue(otherReplicas, own.ID, within.Seconds()).Query(func(rows pgx.Rows) error {
		others, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (o room.Beat, err error) {
			var hears, age float64
			err = row.Scan(&o.ID, &o.Replica, &hears, &o.Signs, &o.Accepts, &age)
			o.Hears, o.Age = seconds(hears), seconds(age)
			return o, err
		})
		return err
	})
	if err := db.trip(ctx, func(ctx context.Context, conn *pgx.Conn) error { return send(ctx, conn, b) }); err != nil {
		return nil, failed(err)
	}
	return others, nil
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

const endBeat = `DELETE FROM roomspa.replicas WHERE id = $1`

// EndBeat takes a replica's sign of life away.
func (db *DB) EndBeat(ctx context.Context, id string) error {
	b := db.writing()
	b.Queue(endBeat, id)
	if err := db.trip(ctx, func(ctx context.Context, conn *pgx.Conn) error { return send(ctx, conn, b) }); err != nil {
		return fmt.Errorf("take the sign of life away: %w", err)
	}
	return nil
}
