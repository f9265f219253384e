package postgres

import (
	"context"
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
const schemaVersion = 13

const server = `
SELECT current_setting('server_version'), pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean`

const probe = server + `,
	(SELECT coalesce(max(version_id), 0) FROM roomspa.goose_db_version WHERE is_applied),
	(SELECT oldest_served FROM roomspa.compatibility), ` + usersAreView

// A Status is the result of a probe.
type Status struct {
	Server       string // version of the server
	Schema       int64  // version of the schema
	OldestServed int64  // the oldest version whose binaries can use the schema
	ReadOnly     bool
}

// Probe checks whether the database can be used: whether it responds, accepts writes,
// and has a schema that this binary can use. The Status is valid with an error too, as
// far as it could be read.
func (db *DB) Probe(ctx context.Context) (Status, error) {
	var s Status
	err := db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		var view bool
		err := conn.QueryRow(ctx, probe).Scan(&s.Server, &s.ReadOnly, &s.Schema, &s.OldestServed, &view)
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
		return s, fmt.Errorf("probe: %w", err)
	}
	return s, nil
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
	case s.ReadOnly:
		return newFailure(causeReadOnly, "")
	}
	return nil
}

// CheckServer checks whether the server responds and accepts writes, whatever the schema.
// It returns the version of the server as text.
func (db *DB) CheckServer(ctx context.Context) (detail string, err error) {
	err = db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		var version string
		var readOnly bool
		if err := conn.QueryRow(ctx, server).Scan(&version, &readOnly); err != nil {
			return err
		}
		detail = "PostgreSQL " + version
		if readOnly {
			return newFailure(causeReadOnly, "")
		}
		return nil
	})
	if err != nil {
		return detail, fmt.Errorf("probe server: %w", err)
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
