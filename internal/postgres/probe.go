package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// schemaVersion is the version of the schema that this binary needs: that of the
// newest migration it carries.
var schemaVersion = newestMigration()

const server = `
SELECT current_setting('server_version'), current_setting('transaction_read_only')::boolean, pg_is_in_recovery()`

const probe = server + `,
	(SELECT coalesce(max(version_id), 0) FROM roomspa.goose_db_version WHERE is_applied),
	(SELECT oldest_served FROM roomspa.compatibility), ` + usersAreView

// A Status is the result of a probe.
type Status struct {
	Server       string // version of the server
	Schema       int64  // version of the schema
	OldestServed int64  // the oldest version whose binaries can use the schema
	ReadOnly     bool
	Standby      bool // it is read-only too
}

// Probe checks whether the database can be used: whether it responds, accepts writes,
// and has a schema that this binary can use. The Status is valid with an error too, as
// far as it could be read.
func (db *DB) Probe(ctx context.Context) (Status, error) {
	var s Status
	err := db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		var view bool
		if err := db.requireSession(ctx, conn); err != nil {
			if f, ok := errors.AsType[*failure](err); ok {
				db.schemaProblem.Store(f)
			}
			return err
		}
		err := conn.QueryRow(ctx, probe).Scan(&s.Server, &s.ReadOnly, &s.Standby, &s.Schema, &s.OldestServed, &view)
		if err != nil {
			return err
		}
		db.noteUsersView(view)
		f := s.problem()
		db.schemaProblem.Store(f)
		if f != nil {
			return f
		}
		return nil
	})
	if err != nil {
		return s, fmt.Errorf("probe: %w", db.investigate(ctx, err))
	}
	return s, nil
}

// requireSession returns a failure if there is a pooler in transaction mode that the options do
// not declare.
func (db *DB) requireSession(ctx context.Context, conn *pgx.Conn) error {
	if db.opts.PgBouncer {
		return nil
	}
	return requireSession(ctx, conn, &db.sessionPooler)
}

// problem returns what keeps this binary from using the database, or nil. A newer schema
// is no problem in itself: it says which binaries it still serves.
func (s Status) problem() *failure {
	switch {
	case s.Schema < schemaVersion:
		return newFailure(causeSchemaOld, fmt.Sprintf(
			"the schema is too old: it has version %d, this binary needs %d: run roomspa migrate up", s.Schema, schemaVersion))
	case s.OldestServed > schemaVersion:
		return newFailure(causeSchemaNew, fmt.Sprintf(
			"the schema is too new: it has version %d and serves binaries of %d and later, this binary serves up to %d: use a newer roomspa",
			s.Schema, s.OldestServed, schemaVersion))
	}
	return readOnly(s.ReadOnly, s.Standby)
}

// readOnly returns why the server accepts no writes, or nil.
func readOnly(is, standby bool) *failure {
	switch {
	case standby:
		return newFailure(causeReadOnly, "it is a standby")
	case is:
		return newFailure(causeReadOnly, "default_transaction_read_only is on for the user, the database or the server")
	}
	return nil
}

// CheckServer checks whether the server responds and accepts writes, whatever the schema.
// It returns the version of the server as text.
func (db *DB) CheckServer(ctx context.Context) (detail string, err error) {
	err = db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		if err := db.requireSession(ctx, conn); err != nil {
			return err
		}
		var version string
		var is, standby bool
		if err := conn.QueryRow(ctx, server).Scan(&version, &is, &standby); err != nil {
			return err
		}
		detail = "PostgreSQL " + version
		if f := readOnly(is, standby); f != nil {
			return f
		}
		return nil
	})
	if err != nil {
		return detail, fmt.Errorf("probe server: %w", db.investigate(ctx, err))
	}
	return detail, nil
}

// CheckSchema is [DB.Probe]. It returns the versions of the server and of the schema as
// text.
func (db *DB) CheckSchema(ctx context.Context) (detail string, err error) {
	s, err := db.Probe(ctx)
	if s.Server == "" {
		return "", err
	}
	return fmt.Sprintf("PostgreSQL %s, schema version %d", s.Server, s.Schema), err
}

// Address returns host:port/database without secrets. If there are several hosts they
// are separated by commas.
func (db *DB) Address() string { return addressOf(db.pool.Config()) }

func addressOf(c *pgxpool.Config) string {
	var hosts []string
	add := func(host string, port uint16) {
		address := net.JoinHostPort(host, strconv.Itoa(int(port)))
		if strings.HasPrefix(host, "/") { // the directory of a Unix socket
			address = host
		}
		if !slices.Contains(hosts, address) { // pgx lists a host twice, with and without TLS
			hosts = append(hosts, address)
		}
	}
	add(c.ConnConfig.Host, c.ConnConfig.Port)
	for _, f := range c.ConnConfig.Fallbacks {
		add(f.Host, f.Port)
	}
	return strings.Join(hosts, ",") + "/" + c.ConnConfig.Database
}
