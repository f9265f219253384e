package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/roomspa/roomspa/internal/room"
)

// rotateRefresh replaces the current refresh token of a family by the next one ($4), if the used
// one ($3) may still be used. It is one statement, since two calls may come at once.
//
// A family without a row is new, and only its first token may be used. The token before the
// current one may be used as long as the current one has not been: perhaps the client has lost
// the answer. Within $7 seconds it gets the current one again, because several requests of one
// client may be under way. Later it gets the next one, and the current one counts as used. Any
// other token was used before, which revokes the family.
const rotateRefresh = `
INSERT INTO roomspa.refresh_families AS f (family, user_id, current, previous, issued_at, expires_at, revoked_at)
VALUES ($1, $2, $4, $3, $5, $6, CASE WHEN $1 <> $3 THEN now() END)
ON CONFLICT (family) DO UPDATE SET
	(current, previous, issued_at, expires_at, revoked_at) = (
		SELECT CASE WHEN replaces THEN $4 ELSE f.current END, CASE WHEN replaces THEN $3 ELSE f.previous END,
			CASE WHEN replaces THEN $5 ELSE f.issued_at END, CASE WHEN replaces THEN $6 ELSE f.expires_at END,
			CASE WHEN replaces OR f.previous = $3 THEN f.revoked_at ELSE coalesce(f.revoked_at, now()) END
		FROM (SELECT f.revoked_at IS NULL AND (f.current = $3 OR f.previous = $3 AND f.issued_at <= now() - make_interval(secs => $7)) AS replaces) r
	)
RETURNING current, issued_at, expires_at, revoked_at IS NOT NULL, revoked_at IS NOT DISTINCT FROM now()`

// RotateRefresh replaces a used refresh token by next, the only token of the family that
// may be used from then on, and returns next. As long as that is not used, the token may be used
// again, in case the client has lost the answer: within grace RotateRefresh returns the same
// token as before, and later next, which replaces the one that was not used. Any other use of a
// token that was used before revokes the family: the rotation is Revoked and, in the answer to
// that very call, Reused.
func (db *DB) RotateRefresh(ctx context.Context, used, next room.Refresh, grace time.Duration) (room.Rotation, error) {
	rot := room.Rotation{Refresh: room.Refresh{Family: used.Family, User: used.User}}
	b := db.newWrite()
	b.Queue(rotateRefresh, used.Family, int64(used.User), used.ID, next.ID, next.IssuedAt, next.ExpiresAt, grace.Seconds()).
		QueryRow(func(row pgx.Row) error {
			return row.Scan(&rot.ID, &rot.IssuedAt, &rot.ExpiresAt, &rot.Revoked, &rot.Reused)
		})
	if err := db.sendRequest(ctx, b); err != nil {
		return room.Rotation{}, fmt.Errorf("rotate refresh token of user %d: %w", used.User, err)
	}
	rot.IssuedAt, rot.ExpiresAt = rot.IssuedAt.UTC(), rot.ExpiresAt.UTC()
	rot.Repeated = !rot.Revoked && rot.ID != next.ID
	return rot, nil
}

// revokeRefresh inserts a row if there is none, or a token that was never used would
// stay valid.
const revokeRefresh = `
INSERT INTO roomspa.refresh_families AS f (family, user_id, current, issued_at, expires_at, revoked_at)
VALUES ($1, $2, $3, $4, $5, now())
ON CONFLICT (family) DO UPDATE SET revoked_at = coalesce(f.revoked_at, now())
RETURNING revoked_at IS NOT DISTINCT FROM now() AND current = $3`

// RevokeRefresh revokes the family of a refresh token. It reports whether the token was
// valid until then: the current token of a family that was not revoked.
func (db *DB) RevokeRefresh(ctx context.Context, t room.Refresh) (valid bool, err error) {
	b := db.newWrite()
	b.Queue(revokeRefresh, t.Family, int64(t.User), t.ID, t.IssuedAt, t.ExpiresAt).
		QueryRow(func(row pgx.Row) error { return row.Scan(&valid) })
	if err := db.sendRequest(ctx, b); err != nil {
		return false, fmt.Errorf("revoke refresh token of user %d: %w", t.User, err)
	}
	return valid, nil
}

// deleteExpiredRefreshes skips rows that another replica is deleting. It waits a minute
// longer because clocks differ: the memory of a token's use must outlive the token.
const deleteExpiredRefreshes = `
DELETE FROM roomspa.refresh_families WHERE family = ANY (ARRAY(
	SELECT family FROM roomspa.refresh_families WHERE expires_at < now() - interval '1 minute'
	ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
))`

// DeleteExpiredRefreshes deletes up to limit families whose last token has expired, and
// returns their number.
func (db *DB) DeleteExpiredRefreshes(ctx context.Context, limit int) (n int64, err error) {
	b := db.newWrite()
	b.Queue(deleteExpiredRefreshes, limit).Exec(func(tag pgconn.CommandTag) error {
		n = tag.RowsAffected()
		return nil
	})
	if err := db.send(ctx, b); err != nil {
		return 0, fmt.Errorf("delete expired refresh tokens: %w", err)
	}
	return n, nil
}

const (
	expireInterval = 10 * time.Minute
	expireBatch    = 1000 // rows in one statement, which takes milliseconds
)

// expireRefreshes deletes expired refresh tokens until ctx ends, in batches so small
// that no other statement waits for them. Replicas share the work.
func (db *DB) expireRefreshes(ctx context.Context) {
	wait := expireInterval/2 + rand.N(expireInterval)
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		wait = expireInterval/2 + rand.N(expireInterval)
		if n, err := db.DeleteExpiredRefreshes(ctx, expireBatch); err == nil && n == expireBatch {
			wait = time.Second // more rows are left
		}
	}
}
