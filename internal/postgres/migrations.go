package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// newestMigration returns the version of the last file of migrations.
func newestMigration() int64 {
	files, err := migrations.ReadDir("migrations") // sorted by name
	if err != nil {
		panic("read the embedded migrations: " + err.Error())
	}
	version, err := goose.NumericComponent(files[len(files)-1].Name())
	if err != nil {
		panic("read the embedded migrations: " + err.Error())
	}
	return version
}

// A Migration is one version of the schema.
type Migration struct {
	Version   int64     `json:"version"`
	Name      string    `json:"name"`                // of the file
	AppliedAt time.Time `json:"applied_at,omitzero"` // zero if it is not applied
}

// Migrate migrates the schema up to this binary's version, and returns the migrations
// that it has applied. If another process is migrating, it waits up to five minutes. It
// gives a database that is a copy of another one a new deployment id, and logs that.
func Migrate(ctx context.Context, o Options, log *slog.Logger) ([]Migration, error) {
	var applied []Migration
	err := withProvider(ctx, o, log, func(p *goose.Provider, db *sql.DB) error {
		results, err := p.Up(ctx)
		applied = toMigrations(results)
		if err != nil {
			return err
		}
		if err := foldEmails(ctx, db, log); err != nil {
			return err
		}
		return markCopy(ctx, db, log)
	})
	return applied, err
}

// MigrateDown rolls back the newest migration and returns it, or nothing if there is
// none. Data in dropped tables and columns is lost.
func MigrateDown(ctx context.Context, o Options, log *slog.Logger) ([]Migration, error) {
	var undone []Migration
	err := withProvider(ctx, o, log, func(p *goose.Provider, _ *sql.DB) error {
		result, err := p.Down(ctx)
		if errors.Is(err, goose.ErrNoNextVersion) {
			return nil
		}
		if result != nil {
			undone = toMigrations([]*goose.MigrationResult{result})
			for i := range undone {
				undone[i].AppliedAt = time.Time{}
			}
		}
		return err
	})
	return undone, err
}

func toMigrations(results []*goose.MigrationResult) []Migration {
	done := make([]Migration, 0, len(results))
	for _, r := range results {
		if r.Error == nil {
			done = append(done, Migration{r.Source.Version, r.Source.Path, time.Now()})
		}
	}
	return done
}

// withProvider runs f with a goose provider and its database. It creates the schema, which holds goose's
// table, if it does not exist.
func withProvider(ctx context.Context, o Options, log *slog.Logger, f func(*goose.Provider, *sql.DB) error) error {
	warnOfEnvironment(log)
	o = o.withDefaults()
	pool, err := poolConfig(o)
	if err != nil {
		return err
	}
	err = func() error {
		cfg := pool.ConnConfig
		cfg.OnNotice = progress(log)
		cfg.RuntimeParams["application_name"] = migrationName
		if o.PgBouncer {
			cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
		} else {
			cfg.RuntimeParams["statement_timeout"] = "0"
			cfg.RuntimeParams["idle_in_transaction_session_timeout"] = "0"
			cfg.RuntimeParams["lock_timeout"] = migrationLockTimeout
			cfg.RuntimeParams["client_min_messages"] = "notice" // for the progress
		}
		db := sql.OpenDB(migrationConnector{stdlib.GetConnector(*cfg), o.PgBouncer})
		defer db.Close()
		if err := requireMigrationSession(ctx, db, o); err != nil {
			return err
		}
		defer watchBlockers(ctx, cfg, log)()
		if err := createSchema(ctx, db); err != nil {
			return err
		}
		p, err := newProvider(db, o, log)
		if err != nil {
			return err
		}
		return f(p, db)
	}()
	if err == nil {
		return nil
	}
	err = migrationError(ctx, err, pool.ConnConfig.Password)
	if cause := Cause(err); o.PgBouncer && (cause == causeStatement || cause == causeLock) {
		return fmt.Errorf("%w; through PgBouncer, the defaults of the user and the database limit the building of indexes: "+
			"migrate with the URL of Postgres itself, or ALTER ROLE … SET statement_timeout = 0, lock_timeout = 0", err)
	}
	return err
}

// progress returns a function that logs what long migrations raise, every five seconds, and each
// warning.
func progress(log *slog.Logger) pgconn.NoticeHandler {
	const every = 5 * time.Second
	next := time.Now().Add(every)
	return func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if n.Routine == "exec_stmt_raise" && n.SeverityUnlocalized == "WARNING" {
			log.Warn("Migration needs a correction", "of", n.Message)
			return
		}
		if now := time.Now(); n.Routine == "exec_stmt_raise" && now.After(next) {
			next = now.Add(every)
			log.Info("Migration in progress", "step", n.Message)
		}
	}
}

func migrationError(ctx context.Context, err error, password string) error {
	c, ok := errors.AsType[*failure](err)
	if !ok {
		c = classify(ctx, err)
	}
	if c.cause == causeOther || c.isValue() || strings.HasPrefix(c.cause, "schema_") {
		// A migration itself has failed, and goose's error says which.
		return fmt.Errorf("migrate: %s", redact(err.Error(), password))
	}
	c.detail = redact(c.detail, password)
	return fmt.Errorf("migrate: %w", c)
}

func newProvider(db *sql.DB, o Options, log *slog.Logger) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	options := []goose.ProviderOption{
		goose.WithTableName("roomspa.goose_db_version"), goose.WithSlog(log), goose.WithDisableGlobalRegistry(true),
	}
	if o.PgBouncer {
		// The next client of the server connection would own a lock of the session.
		locker, err := lock.NewPostgresTableLocker(lock.WithTableName("roomspa.goose_lock"),
			lock.WithTableLockTimeout(time.Second, 300), lock.WithTableLogger(log))
		if err != nil {
			return nil, err
		}
		options = append(options, goose.WithLocker(locker))
	} else {
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
		if err != nil {
			return nil, err
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	return goose.NewProvider(goose.DialectPostgres, db, files, options...)
}

// createSchema first checks whether the schema exists: CREATE SCHEMA IF NOT EXISTS needs
// the permission to create one even if it does.
func createSchema(ctx context.Context, db *sql.DB) error {
	var exists bool
	err := db.QueryRowContext(ctx, `SELECT to_regnamespace('roomspa') IS NOT NULL`).Scan(&exists)
	if err != nil || exists {
		return err
	}
	_, err = db.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS roomspa`)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "23505" {
		return nil // another process was faster, which IF NOT EXISTS does not cover
	}
	return err
}
