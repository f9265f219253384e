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

// rotateFamily judges a refresh token ($3) and replaces it by the next one ($4),
// in one statement, since two may come at once. A family that is not known is one
// whose first token is used for the first time; any other token of it cannot be
// judged. A token that was replaced less than $7 ago by one that was not used yet
// is answered with that one again. Whatever else comes is a token that was used
// before: it ends the family.
const rotateFamily = `
INSERT INTO roomspa.refresh_families AS f (family, user_id, current, previous, issued_at, expires_at, revoked_at)
VALUES ($1, $2, $4, $3, $5, $6, CASE WHEN $1 <> $3 THEN now() END)
ON CONFLICT (family) DO UPDATE SET
	current    = CASE WHEN f.current = $3 AND f.revoked_at IS NULL THEN $4 ELSE f.current END,
	previous   = CASE WHEN f.current = $3 AND f.revoked_at IS NULL THEN $3 ELSE f.previous END,
	issued_at  = CASE WHEN f.current = $3 AND f.revoked_at IS NULL THEN $5 ELSE f.issued_at END,
	expires_at = CASE WHEN f.current = $3 AND f.revoked_at IS NULL THEN $6 ELSE f.expires_at END,
	revoked_at = CASE WHEN f.current = $3 OR f.previous = $3 AND f.issued_at > now() - make_interval(secs => $7) THEN f.revoked_at
	                  ELSE coalesce(f.revoked_at, now()) END
RETURNING current, issued_at, expires_at, revoked_at IS NOT NULL, revoked_at IS NOT DISTINCT FROM now()`

// RotateRefresh makes next the only refresh token of a family that may be used, in
// place of used, and returns it; within grace after that it returns the same again
// for used, if the client has lost the answer. A used token that comes later ends
// the family: Revoked and, in the answer to that very call, Reused.
func (db *DB) RotateRefresh(ctx context.Context, used, next room.Refresh, grace time.Duration) (room.Rotation, error) {
	rot := room.Rotation{Refresh: room.Refresh{Family: used.Family, User: used.User}}
	b := db.writing()
	b.Queue(rotateFamily, used.Family, int64(used.User), used.ID, next.ID, next.IssuedAt, next.ExpiresAt, grace.Seconds()).
		QueryRow(func(row pgx.Row) error {
			return row.Scan(&rot.ID, &rot.IssuedAt, &rot.ExpiresAt, &rot.Revoked, &rot.Reused)
		})
	if err := db.trip(ctx, func(ctx context.Context, conn *pgx.Conn) error { return send(ctx, conn, b) }); err != nil {
		return room.Rotation{}, fmt.Errorf("rotate a refresh token of user %d: %w", used.User, err)
	}
	rot.IssuedAt, rot.ExpiresAt = rot.IssuedAt.UTC(), rot.ExpiresAt.UTC()
	rot.Repeated = !rot.Revoked && rot.ID != next.ID
	return rot, nil
}

// revokeFamily leaves a row also where there was none: a token that was never used
// could be otherwise.
const revokeFamily = `
INSERT INTO roomspa.refresh_families AS f (family, user_id, current, issued_at, expires_at, revoked_at)
VALUES ($1, $2, $3, $4, $5, now())
ON CONFLICT (family) DO UPDATE SET revoked_at = coalesce(f.revoked_at, now())
RETURNING revoked_at IS NOT DISTINCT FROM now() AND current = $3`

// RevokeRefresh ends the family of a refresh token. It reports whether the token
// was good until then, which one that was replaced or revoked is not.
func (db *DB) RevokeRefresh(ctx context.Context, t room.Refresh) (good bool, err error) {
	b := db.writing()
	b.Queue(revokeFamily, t.Family, int64(t.User), t.ID, t.IssuedAt, t.ExpiresAt).
		QueryRow(func(row pgx.Row) error { return row.Scan(&good) })
	if err := db.trip(ctx, func(ctx context.Context, conn *pgx.Conn) error { return send(ctx, conn, b) }); err != nil {
		return false, fmt.Errorf("revoke the refresh tokens of a sign-in of user %d: %w", t.User, err)
	}
	return good, nil
}

// forgetFamilies skips what another replica is just deleting.
const forgetFamilies = `
DELETE FROM roomspa.refresh_families WHERE family = ANY (ARRAY(
	SELECT family FROM roomspa.refresh_families WHERE expires_at < now() - interval '1 minute'
	ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
))`

// ForgetRefreshes deletes up to most families whose last token has expired, and
// returns how many it has. The minute is for clocks that differ: a token must not
// outlive the memory of its use.
func (db *DB) ForgetRefreshes(ctx context.Context, most int) (n int64, err error) {
	b := db.writing()
	b.Queue(forgetFamilies, most).Exec(func(tag pgconn.CommandTag) error {
		n = tag.RowsAffected()
		return nil
	})
	if err := db.trip(ctx, func(ctx context.Context, conn *pgx.Conn) error { return send(ctx, conn, b) }); err != nil {
		return 0, fmt.Errorf("forget expired refresh tokens: %w", err)
	}
	return n, nil
}

const (
	tidyEvery = 10 * time.Minute
	tidyMost  = 1000 // rows at once: a statement of milliseconds
)

// tidy deletes what has expired until ctx ends, in small batches, so that nobody
// waits for it. Replicas share the work as it comes.
func (db *DB) tidy(ctx context.Context) {
	wait := tidyEvery/2 + rand.N(tidyEvery)
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		wait = tidyEvery/2 + rand.N(tidyEvery)
		if n, err := db.ForgetRefreshes(ctx, tidyMost); err == nil && n == tidyMost {
			wait = time.Second // there is more
		}
	}
}
