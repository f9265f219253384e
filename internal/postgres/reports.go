package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

// insertReport stores a report, unless the message does not exist, the reporter has reported
// too much or is erased. A statement before it has locked the conversation: EraseUser relies on
// that, as for messages.
const insertReport = `
WITH checked AS MATERIALIZED (
	SELECT $3::bigint = 0 OR coalesce((
		SELECT true FROM roomspa.messages WHERE conversation_id = $2 AND seq = $3
	), false) AS found, (
		SELECT count(*) FROM (
			SELECT FROM roomspa.reports WHERE reporter_id = $1 AND created_at > now() - interval '1 day' LIMIT $6
		) r
	) < $6 AS allowed
), stored AS (
	INSERT INTO roomspa.reports (reporter_id, conversation_id, seq, reason, body, created_at)
	SELECT $1, $2, nullif($3::bigint, 0), $4, $5, clock_timestamp()
	FROM checked
	WHERE found AND allowed AND coalesce((SELECT false FROM roomspa.erasures e WHERE e.user_id = $1), true)
	RETURNING id
)
SELECT found, allowed, coalesce((SELECT id FROM stored), 0) FROM checked`

// AddReport stores a report and returns its id. It returns [room.ErrNotFound] if the
// conversation has no message with the number, [room.ErrTooMany] if the user has reported
// [room.ReportsPerDay] times within a day, and [room.ErrErased] if the user is erased.
func (db *DB) AddReport(ctx context.Context, r room.Report) (id int64, err error) {
	var found, allowed bool
	b := db.newWrite()
	b.Queue(lockConversations, []room.ID{r.Conversation})
	b.Queue(insertReport, int64(r.Reporter), r.Conversation, r.Seq, r.Reason, r.Text, room.ReportsPerDay).
		QueryRow(func(row pgx.Row) error { return row.Scan(&found, &allowed, &id) })
	err = db.sendRequest(ctx, b)
	switch {
	case err != nil:
	case !found:
		err = room.ErrNotFound
	case !allowed:
		err = room.ErrTooMany
	case id == 0:
		err = room.ErrErased
	}
	if err != nil {
		return 0, fmt.Errorf("store a report of user %d: %w", r.Reporter, err)
	}
	return id, nil
}

const reportColumns = `id, reporter_id, conversation_id, coalesce(seq, 0), reason, body, created_at, closed_at, resolution`

func scanReport(row pgx.CollectableRow) (r room.Report, err error) {
	var closed *time.Time
	err = row.Scan(&r.ID, &r.Reporter, &r.Conversation, &r.Seq, &r.Reason, &r.Text, &r.CreatedAt, &closed, &r.Resolution)
	if r.CreatedAt = r.CreatedAt.UTC(); closed != nil {
		r.ClosedAt = closed.UTC()
	}
	return r, err
}

const (
	openReports = `
SELECT ` + reportColumns + ` FROM roomspa.reports WHERE closed_at IS NULL ORDER BY created_at, id LIMIT $1`
	newestReports = `
SELECT ` + reportColumns + ` FROM roomspa.reports ORDER BY id DESC LIMIT $1`
	reportByID = `
SELECT ` + reportColumns + ` FROM roomspa.reports WHERE id = $1`
)

// Reports returns the oldest open reports, or the newest ones of all, at most limit.
func (db *DB) Reports(ctx context.Context, all bool, limit int) (list []room.Report, err error) {
	query := openReports
	if all {
		query = newestReports
	}
	err = db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, query, limit)
		list, err = pgx.CollectRows(rows, scanReport)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list reports: %w", err)
	}
	return list, nil
}

// Report returns a report, or [room.ErrNotFound].
func (db *DB) Report(ctx context.Context, id int64) (r room.Report, err error) {
	err = db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, reportByID, id)
		r, err = pgx.CollectExactlyOneRow(rows, scanReport)
		return err
	})
	if err != nil {
		return room.Report{}, fmt.Errorf("load report %d: %w", id, err)
	}
	return r, nil
}

const closeReport = `UPDATE roomspa.reports SET closed_at = coalesce(closed_at, now()), resolution = $2 WHERE id = $1`

// CloseReport closes a report, or changes the resolution of a closed one. It returns
// [room.ErrNotFound] if there is no such report.
func (db *DB) CloseReport(ctx context.Context, id int64, resolution string) error {
	b := db.newWrite()
	b.Queue(closeReport, id, resolution).Exec(requireRow)
	if err := db.send(ctx, b); err != nil {
		return fmt.Errorf("close report %d: %w", id, err)
	}
	return nil
}

const summarizeReports = `SELECT count(*), min(created_at) FROM roomspa.reports WHERE closed_at IS NULL`

// OpenReports returns the number of open reports, and when the oldest of them was made.
func (db *DB) OpenReports(ctx context.Context) (n int, oldest time.Time, err error) {
	err = db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		var at *time.Time
		err := conn.QueryRow(ctx, summarizeReports).Scan(&n, &at)
		if at != nil {
			oldest = at.UTC()
		}
		return err
	})
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("count open reports: %w", err)
	}
	return n, oldest, nil
}

// reportsInterval is the time between two updates of the metrics about reports.
const reportsInterval = 30 * time.Second

// watchReports updates the metrics about reports until ctx ends.
func (db *DB) watchReports(ctx context.Context) {
	tick := time.NewTicker(reportsInterval)
	defer tick.Stop()
	for {
		if db.schemaProblem.Load() == nil {
			if n, oldest, err := db.OpenReports(ctx); err == nil {
				db.metrics.reports.Store(&openReportsSeen{n, oldest})
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
