package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

// selectBlocks has a query per direction: a join might be planned to read the whole table.
const selectBlocks = `
SELECT r.customer_id, r.therapist_id,
	coalesce((SELECT b.active FROM roomspa.blocks b WHERE b.blocker_id = r.customer_id AND b.blocked_id = r.therapist_id), false),
	coalesce((SELECT b.active FROM roomspa.blocks b WHERE b.blocker_id = r.therapist_id AND b.blocked_id = r.customer_id), false)
FROM unnest($1::bigint[], $2::bigint[]) AS r (customer_id, therapist_id)`

// Blocks returns the blocks in each of the rooms, also where there are none. Concurrent calls
// are one query.
func (db *DB) Blocks(ctx context.Context, rooms []room.Room) (map[room.Room]room.Blocks, error) {
	found, _, err := db.blocks.call(ctx, slices.Clone(rooms)) // a copy, since the query may outlast the call
	if err != nil {
		return nil, fmt.Errorf("load blocks: %w", err)
	}
	return found, nil
}

// serveBlocks serves calls of Blocks. All of them get the same map.
func (db *DB) serveBlocks(ctx context.Context, rs []*request[[]room.Room, map[room.Room]room.Blocks]) {
	found := map[room.Room]room.Blocks{}
	for _, r := range rs {
		for _, rm := range r.arg {
			found[rm] = room.Blocks{}
		}
	}
	customers, therapists := make([]int64, 0, len(found)), make([]int64, 0, len(found))
	for rm := range found {
		customers, therapists = append(customers, int64(rm.Customer)), append(therapists, int64(rm.Therapist))
	}
	err := db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, selectBlocks, customers, therapists)
		var rm room.Room
		var b room.Blocks
		_, err := pgx.ForEachRow(rows, []any{&rm.Customer, &rm.Therapist, &b.ByCustomer, &b.ByTherapist}, func() error {
			found[rm] = b
			return nil
		})
		return err
	})
	if err != nil {
		failAll(rs, err)
		return
	}
	for _, r := range rs {
		r.result = found
	}
}

const changedBlocks = `
SELECT blocker_id, blocked_id FROM roomspa.blocks
WHERE changed_at > now() - make_interval(secs => $1) ORDER BY changed_at`

// ChangedBlocks returns the blocks that were set or lifted within the last since, by the
// database's clock.
func (db *DB) ChangedBlocks(ctx context.Context, since time.Duration) (changed []room.Block, err error) {
	err = db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, changedBlocks, since.Seconds())
		changed, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (b room.Block, err error) {
			err = row.Scan(&b.Blocker, &b.Blocked)
			return b, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read changed blocks: %w", err)
	}
	return changed, nil
}

// setBlock does nothing if there is no conversation, or no change. Where there was no block none
// is lifted.
const setBlock = `
WITH conversation AS (
	SELECT id FROM roomspa.conversations WHERE customer_id = $4 AND therapist_id = $5
), stored AS (
	INSERT INTO roomspa.blocks AS b (blocker_id, blocked_id, active, changed_at)
	SELECT $1, $2, $3, clock_timestamp() FROM conversation
	WHERE $3 OR EXISTS (SELECT FROM roomspa.blocks WHERE blocker_id = $1 AND blocked_id = $2)
	ON CONFLICT (blocker_id, blocked_id) DO UPDATE SET active = excluded.active, changed_at = excluded.changed_at
	WHERE b.active <> excluded.active
	RETURNING true
)
SELECT EXISTS (SELECT FROM stored) FROM conversation`

// SetBlock blocks one side of a room for the other one, or lifts the block. It reports whether
// that was a change. It returns [room.ErrNotFound] if the room has no conversation.
func (db *DB) SetBlock(ctx context.Context, b room.Block, in room.Room, active bool) (changed bool, err error) {
	batch := db.newWrite()
	batch.Queue(setBlock, int64(b.Blocker), int64(b.Blocked), active, int64(in.Customer), int64(in.Therapist)).
		QueryRow(func(row pgx.Row) error { return row.Scan(&changed) })
	if err := db.sendRequest(ctx, batch); err != nil {
		return false, fmt.Errorf("set the block of user %d by user %d to %v: %w", b.Blocked, b.Blocker, active, err)
	}
	return changed, nil
}
