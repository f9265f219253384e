package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/event"
)

// selectKeys returns first the newest key that may seal.
const selectKeys = `
SELECT id, secret FROM roomspa.master_keys WHERE opens_until IS NULL OR opens_until > now()
ORDER BY seals_at <= now() DESC, seals_at DESC, id`

const deleteExpiredKeys = `DELETE FROM roomspa.master_keys WHERE opens_until <= now()`

// queueKeys queues the statement that reads the keys of a deployment.
func queueKeys(b *pgx.Batch, d *event.Deployment) {
	b.Queue(selectKeys).Query(func(rows pgx.Rows) error {
		var err error
		d.Keys, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (k event.Key, err error) {
			var id, secret []byte // a CHECK keeps their lengths
			err = row.Scan(&id, &secret)
			copy(k.ID[:], id)
			copy(k.Secret[:], secret)
			return k, err
		})
		if err == nil && len(d.Keys) == 0 {
			err = newFailure(causeOther, "the table roomspa.master_keys has no key that may be used")
		}
		return err
	})
}

const (
	// sealDelay is how long before its first use a key is known: three heartbeats.
	sealDelay = 30 * time.Second
	// overlap is how long the old key opens: stories are kept for a day, and sealed for
	// windows of six hours.
	overlap = 30 * time.Hour
	// shortOverlap is how long the old key opens what is not a story.
	shortOverlap = 3 * time.Minute
)

// lockRotation lets one transaction rotate at a time. It is no lock of a row that heartbeats
// need: they would fail if the command loses its network in the middle.
const lockRotation = `SELECT pg_advisory_xact_lock(hashtextextended('roomspa.rotation', 0))`

const keysToRotate = `SELECT id, seals_at, opens_until FROM roomspa.master_keys ORDER BY opens_until NULLS FIRST, seals_at DESC`

const insertKey = `
INSERT INTO roomspa.master_keys (id, secret, seals_at)
VALUES (
	substring(sha256(uuid_send(gen_random_uuid())) FROM 1 FOR 4),
	sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())),
	now() + make_interval(secs => $1::float8)
) RETURNING id, seals_at, opens_until`

// expireOtherKeys never makes a key open for longer: least ignores NULL.
const expireOtherKeys = `
UPDATE roomspa.master_keys SET opens_until = least(opens_until, now() + make_interval(secs => $2::float8))
WHERE id <> $1 RETURNING id, seals_at, opens_until`

// A MasterKey is a master key without its secret.
type MasterKey struct {
	ID         event.KeyID
	SealsAt    time.Time
	OpensUntil time.Time // zero if it has no end
}

func scanKey(row pgx.CollectableRow) (k MasterKey, err error) {
	var id []byte
	var until *time.Time
	err = row.Scan(&id, &k.SealsAt, &until)
	copy(k.ID[:], id)
	k.SealsAt = k.SealsAt.UTC()
	if until != nil {
		k.OpensUntil = until.UTC()
	}
	return k, err
}

// A RotationError says that the previous rotation has not ended.
type RotationError struct{ Old MasterKey }

func (e *RotationError) Error() string {
	return fmt.Sprintf("a rotation is under way: the old key %s opens until %s", e.Old.ID, e.Old.OpensUntil.Format(time.RFC3339))
}

// RotateKey makes a new master key. It seals after half a minute, when every replica knows
// it. The old key then only opens, until stories that it has sealed have expired. With
// forgetStories it opens for three minutes only, and these stories cannot be read after
// that.
//
// While an old key still opens, RotateKey makes no other key. With forgetStories it ends
// the old key sooner, and otherwise it returns a [RotationError].
func (db *DB) RotateKey(ctx context.Context, forgetStories bool) (current, old MasterKey, err error) {
	last := overlap
	if forgetStories {
		last = shortOverlap
	}
	var underWay *RotationError
	err = db.transaction(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockRotation); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, deleteExpiredKeys); err != nil {
			return err
		}
		keys, err := queryKeys(ctx, tx, keysToRotate)
		switch {
		case err != nil:
			return err
		case len(keys) < 2:
			if keys, err = queryKeys(ctx, tx, insertKey, sealDelay.Seconds()); err != nil {
				return err
			}
		case !forgetStories:
			underWay = &RotationError{keys[1]}
			return nil
		}
		current = keys[0]
		others, err := queryKeys(ctx, tx, expireOtherKeys, current.ID[:], last.Seconds())
		if len(others) > 0 {
			old = others[0]
		}
		return err
	})
	switch {
	case err != nil:
		return current, old, fmt.Errorf("rotate the key: %w", err)
	case underWay != nil:
		return current, old, underWay
	}
	return current, old, nil
}

func queryKeys(ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]MasterKey, error) {
	rows, _ := tx.Query(ctx, sql, args...)
	return pgx.CollectRows(rows, scanKey)
}
