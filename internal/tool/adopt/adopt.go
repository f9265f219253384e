// Package adopt implements `roomspa adopt django`. It takes over the users and the chat of the
// predecessor, a Django application whose tables are in the same database, and writes what
// roomspa stored since back into them. All rows move inside the database, in batches of one
// transaction each. A run that was killed is continued by running the same command again.
package adopt

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/roomspa/roomspa/internal/postgres"
)

// Options configures an [Adoption].
type Options struct {
	Database postgres.Options
	// Schema holds Django's tables. Default: the one schema that has them.
	Schema string
	// TimeZone is that of times without one. Default: UTC.
	TimeZone string
	// Batch is the number of messages that one transaction writes. Default: 20000.
	Batch int
	// Out receives one line for each step.
	Out io.Writer
	// Progress is called after each batch; nil for none.
	Progress func(Progress)
}

const defaultBatch = 20_000

// Progress is how far a step is.
type Progress struct {
	Step        string
	Done, Total int64 // rows; 0 at the beginning of a step
	Took        time.Duration
}

// An Adoption is a connection to the database that holds roomspa's and Django's tables.
type Adoption struct {
	conn   *pgx.Conn
	o      Options
	src    *source
	notes  []string // about the live schema
	broken error    // why the live schema cannot be adopted
	runner string
	began  time.Time // of the current step
}

// Open connects and reads the live schema of Django's tables. It writes nothing.
func Open(ctx context.Context, o Options) (*Adoption, error) {
	o.TimeZone, o.Batch = cmp.Or(o.TimeZone, "UTC"), cmp.Or(o.Batch, defaultBatch)
	conn, err := postgres.Dial(ctx, o.Database, "roomspa adopt")
	if err != nil {
		return nil, err
	}
	a := &Adoption{conn: conn, o: o, runner: strings.ToLower(rand.Text())}
	if err := a.transaction(ctx, func(tx pgx.Tx) error { return a.readSource(ctx, tx) }); err != nil {
		a.Close(ctx)
		return nil, err
	}
	return a, nil
}

// Close ends the connection.
func (a *Adoption) Close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = a.conn.Close(ctx)
}

func (a *Adoption) readSource(ctx context.Context, tx pgx.Tx) error {
	schema := a.o.Schema
	if schema == "" {
		found, err := findSchema(ctx, tx)
		if err != nil {
			return err
		}
		schema = found
	}
	tables, err := readSchema(ctx, tx, schema)
	if err != nil {
		return err
	}
	a.src = newSource(schema, a.o.TimeZone, tables)
	a.notes, a.broken = a.src.check()
	return nil
}

// settings holds for one transaction, since a pooler may give each to another session. If the
// command is killed, the server notices it within a statement.
const settings = `
SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '5s', true), set_config('timezone', 'UTC', true),
	set_config('work_mem', '64MB', true), set_config('jit', 'off', true), set_config('plan_cache_mode', 'force_custom_plan', true),
	(SELECT set_config(name, '1s', true) FROM pg_catalog.pg_settings WHERE name = 'client_connection_check_interval')`

// attempts is how often a transaction is tried that another one kept from its locks.
const attempts = 5

// transaction runs f in one transaction, again if it lost a lock to another one.
func (a *Adoption) transaction(ctx context.Context, f func(pgx.Tx) error) error {
	for attempt := 1; ; attempt++ {
		err := pgx.BeginFunc(ctx, a.conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, settings); err != nil {
				return err
			}
			return f(tx)
		})
		if attempt == attempts || !lostLock(err) {
			return err
		}
	}
}

func lostLock(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pg.Code == "40P01" || pg.Code == "40001" || pg.Code == "55P03")
}

// A statement is SQL with macros of [source.sql], and its arguments.
type statement struct {
	sql  string
	args []any
}

// write runs statements in one transaction, and returns the number of rows of the last one. It
// fails if another run has begun since.
func (a *Adoption) write(ctx context.Context, statements ...statement) (rows int64, err error) {
	err = a.transaction(ctx, func(tx pgx.Tx) error {
		if err := a.hold(ctx, tx); err != nil {
			return err
		}
		for _, s := range statements {
			tag, err := tx.Exec(ctx, a.src.sql(s.sql), s.args...)
			if err != nil {
				return err
			}
			rows = tag.RowsAffected()
		}
		return nil
	})
	return rows, err
}

// read runs a query that returns one row.
func (a *Adoption) read(ctx context.Context, s statement, into ...any) error {
	return a.transaction(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, a.src.sql(s.sql), s.args...).Scan(into...)
	})
}

// step runs one step and says what it did. f returns the end of the line.
func (a *Adoption) step(name string, f func() (string, error)) error {
	a.began = time.Now()
	a.progress(name, 0, 0)
	said, err := f()
	if err != nil {
		if _, ok := errors.AsType[*Refusal](err); ok {
			return err
		}
		return fmt.Errorf("%s: %w", name, a.explain(err))
	}
	a.say("%-14s %s (%.1f s)", name, said, time.Since(a.began).Seconds())
	return nil
}

func (a *Adoption) say(format string, args ...any) { _, _ = fmt.Fprintf(a.o.Out, format+"\n", args...) }

func (a *Adoption) progress(step string, done, total int64) {
	if a.o.Progress != nil {
		a.o.Progress(Progress{step, done, total, time.Since(a.began)})
	}
}

// explain adds a cure to errors of the server that have one.
func (a *Adoption) explain(err error) error {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case !ok:
		return err
	case pg.Code == "42501":
		return fmt.Errorf("%s: run the GRANTs that roomspa adopt django --plan prints", pg.Message)
	case pg.Code == "42P01" && strings.Contains(pg.Message, "roomspa."), pg.Code == "42703" && pg.TableName == "":
		return fmt.Errorf("%s: run roomspa migrate up first", pg.Message)
	case pg.Code == "55P03":
		return fmt.Errorf("another transaction holds a lock: %s", pg.Message)
	}
	return fmt.Errorf("%s (SQLSTATE %s) %s", pg.Message, pg.Code, pg.Detail)
}
