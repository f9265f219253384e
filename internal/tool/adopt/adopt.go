// Package adopt implements `roomspa import django`. It imports users with their password
// hashes, conversations and messages from the database of the predecessor, a Django
// application. It only reads there, in one snapshot. It reports what it cannot import.
package adopt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

// Options configures an import.
type Options struct {
	URL    string // of the predecessor's database
	Tables Tables
	// Roles maps roles of the predecessor to roles of roomspa. A role that is not in it stays
	// the same.
	Roles map[string]room.Role
	// TimeZone is the time zone of times without one (USE_TZ = False). Default: UTC.
	TimeZone string
	// NoUsers skips the users, for a roomspa.users that is a view over the predecessor's.
	NoUsers bool
	// Rehearse writes nothing, and counts what would be written.
	Rehearse bool
	// Progress is called from time to time with the report so far; nil for none.
	Progress func(Report)
}

const (
	// batchRows and batchBytes bound a batch and thereby the memory: only one batch is held
	// at a time.
	batchRows  = 1000
	batchBytes = 4 << 20
	// maxSkipped bounds the number of users and rooms whose conversations and messages must
	// be skipped as well. More of them suggest that the tables are the wrong ones.
	maxSkipped = 1_000_000
	// progressInterval is the time between two calls of Progress.
	progressInterval = 2 * time.Second
	connectTimeout   = 10 * time.Second
)

// An importer is the state of one call of Import.
type importer struct {
	o            Options
	source       pgx.Tx // a snapshot of the predecessor's database
	target       *postgres.DB
	report       Report
	began        time.Time
	lastProgress time.Time

	skippedUsers map[room.UserID]bool
	skippedRooms map[room.Room]bool
	now          time.Time // replaces missing times
}

// Import imports everything that is not yet in the target, and returns a report. It may be
// repeated, even after an interruption: rows that exist are recognised by their ids and
// stay as they are, and new ones are added after them.
func Import(ctx context.Context, o Options, target *postgres.DB) (Report, error) {
	im := &importer{
		o: o, target: target, report: Report{Rehearsal: o.Rehearse}, began: time.Now(), lastProgress: time.Now(),
		skippedUsers: map[room.UserID]bool{}, skippedRooms: map[room.Room]bool{}, now: time.Now().UTC(),
	}
	conn, err := connect(ctx, o)
	if err != nil {
		return im.report, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectTimeout)
		defer cancel()
		_ = conn.Close(ctx) // it was only read
	}()
	if im.source, err = conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}); err != nil {
		return im.report, fmt.Errorf("begin a snapshot of the predecessor's database: %w", err)
	}
	missing, err := im.o.Tables.check(ctx, im.source, o.NoUsers)
	if err != nil {
		return im.report, err
	}
	im.o.Tables.clearMissing(missing)
	im.report.add("no_column", int64(len(missing)), missing...)
	for _, step := range []struct {
		what string
		run  func(context.Context) error
	}{{"users", im.importUsers}, {"conversations", im.importConversations}, {"messages", im.importMessages}} {
		if step.what == "users" && o.NoUsers {
			continue
		}
		if err := step.run(ctx); err != nil {
			return im.finish(), fmt.Errorf("import %s: %w", step.what, err)
		}
		im.showProgress(true)
	}
	return im.finish(), nil
}

// connect connects to the predecessor's database. Its errors contain neither the password
// nor the reason why the URL is invalid, which would quote it.
func connect(ctx context.Context, o Options) (*pgx.Conn, error) {
	pool, err := postgres.ParseURL(o.URL)
	if err != nil || o.URL == "" {
		return nil, errors.New("the URL of the predecessor's database is invalid: it should look like postgres://user:password@host:5432/name")
	}
	cfg := pool.ConnConfig
	cfg.ConnectTimeout = connectTimeout
	maps.Copy(cfg.RuntimeParams, map[string]string{
		"application_name": "roomspa import", "timezone": cmp.Or(o.TimeZone, "UTC"),
		"default_transaction_read_only": "on", "statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0",
		"client_encoding": "UTF8",
	})
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
			return nil, fmt.Errorf("connect to the predecessor's database: %s", pg.Message)
		}
		return nil, fmt.Errorf("connect to the predecessor's database at %s: %w", cfg.Host, errors.Unwrap(err))
	}
	return conn, nil
}

// importRows runs a query on the source and writes its rows in batches. convert returns
// false for a row to skip. size returns the approximate number of bytes of a row.
func importRows[T any](
	ctx context.Context, im *importer, query string,
	convert func(pgx.Rows) (row T, ok bool, err error), size func(T) int, write func(context.Context, []T) error,
) error {
	var batch []T
	bytes := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := write(ctx, batch)
		batch, bytes = batch[:0], 0
		im.showProgress(false)
		return err
	}
	rows, err := im.source.Query(ctx, query)
	if err != nil {
		return fmt.Errorf("read the predecessor's database: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		row, ok, err := convert(rows)
		if err != nil {
			return fmt.Errorf("read the predecessor's database: %w", err)
		}
		if ok {
			batch = append(batch, row)
			bytes += size(row)
		}
		if len(batch) >= batchRows || bytes >= batchBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		if len(im.skippedUsers)+len(im.skippedRooms) > maxSkipped {
			return fmt.Errorf("more than %d users and rooms cannot be imported: check that these are the right tables and columns", maxSkipped)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the predecessor's database: %w", err)
	}
	return flush()
}

func (im *importer) finish() Report {
	im.report.TookMS = time.Since(im.began).Milliseconds()
	return im.report
}

// showProgress calls Progress, at most once per progressInterval unless now is true.
func (im *importer) showProgress(now bool) {
	if im.o.Progress != nil && (now || time.Since(im.lastProgress) >= progressInterval) {
		im.lastProgress = time.Now()
		im.o.Progress(im.finish())
	}
}

// role maps a role of the predecessor.
func (im *importer) role(theirs string) (room.Role, bool) {
	r, ok := im.o.Roles[theirs]
	if !ok {
		r = room.Role(theirs)
	}
	return r, r == room.Customer || r == room.Therapist || r == room.Support
}
