package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// A Migration is one step of the schema's history.
type Migration struct {
	Version   int64     `json:"version"`
	Name      string    `json:"name"`                // of the file
	AppliedAt time.Time `json:"applied_at,omitzero"` // zero if it is not applied, or was taken back
}

// Migrate brings the schema up to this binary's version, and returns the steps that
// it took. Two that run at once are safe: one waits, up to five minutes.
func Migrate(ctx context.Context, o Options, log *slog.Logger) ([]Migration, error) {
	var applied []Migration
	err := migrating(ctx, o, log, func(p *goose.Provider) error {
		results, err := p.Up(ctx)
		applied = steps(results)
		return err
	})
	return applied, err
}

// MigrateDown takes the newest step back, and returns it; or nothing where there is
// none. Data in what it drops is gone.
func MigrateDown(ctx context.Context, o Options, log *slog.Logger) ([]Migration, error) {
	var undone []Migration
	err := migrating(ctx, o, log, func(p *goose.Provider) error {
		result, err := p.Down(ctx)
		if errors.Is(err, goose.ErrNoNextVersion) {
			return nil
		}
		if result != nil {
			undone = steps([]*goose.MigrationResult{result})
			for i := range undone {
				undone[i].AppliedAt = time.Time{}
			}
		}
		return err
	})
	return undone, err
}

func steps(results []*goose.MigrationResult) []Migration {
	done := make([]Migration, 0, len(results))
	for _, r := range results {
		if r.Error == nil {
			done = append(done, Migration{r.Source.Version, r.Source.Path, time.Now()})
		}
	}
	return done
}

// migrating opens the database for goose, with its table in our schema.
func migrating(ctx context.Context, o Options, log *slog.Logger, f func(*goose.Provider) error) error {
	o = o.withDefaults()
	pool, err := poolConfig(o)
	if err != nil {
		return err
	}
	err = func() error {
		cfg := pool.ConnConfig
		if o.PgBouncer {
			cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
		} else {
			// A step may work as long as it must. But one that waits for a lock makes
			// everybody wait behind it, so it soon fails instead, and can be repeated.
			delete(cfg.RuntimeParams, "statement_timeout")
			cfg.RuntimeParams["lock_timeout"] = "5s"
		}
		db := stdlib.OpenDB(*cfg)
		defer db.Close()
		if err := createSchema(ctx, db); err != nil {
			return err
		}
		p, err := provider(db, o, log)
		if err != nil {
			return err
		}
		return f(p)
	}()
	if err != nil {
		return migrationError(ctx, err, pool.ConnConfig.Password)
	}
	return nil
}

func migrationError(ctx context.Context, err error, password string) error {
	c := classify(ctx, err)
	if c.cause == causeOther || c.cause == causeRejected || c.cause == causeSchemaMissing {
		// A step that fails is a matter of its text, which goose's error names.
		return fmt.Errorf("migrate: %s", withoutPassword(err.Error(), password))
	}
	c.detail = withoutPassword(c.detail, password)
	return fmt.Errorf("migrate: %w", c)
}

func provider(db *sql.DB, o Options, log *slog.Logger) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	options := []goose.ProviderOption{
		goose.WithTableName("roomspa.goose_db_version"), goose.WithSlog(log), goose.WithDisableGlobalRegistry(true),
	}
	if o.PgBouncer {
		// A lock of the session would be one of whoever gets the connection next.
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

// createSchema asks first: CREATE SCHEMA IF NOT EXISTS wants the permission to
// create one even where it exists.
func createSchema(ctx context.Context, db *sql.DB) error {
	var exists bool
	err := db.QueryRowContext(ctx, `SELECT to_regnamespace('roomspa') IS NOT NULL`).Scan(&exists)
	if err != nil || exists {
		return err
	}
	_, err = db.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS roomspa`)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "23505" {
		return nil // another one was faster by a hair; IF NOT EXISTS does not cover that
	}
	return err
}
