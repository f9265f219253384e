package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// schemaVersion is the version of the schema that this binary needs: that of the
// newest migration it carries.
const schemaVersion = 6

const probe = `
SELECT current_setting('server_version'), pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean,
	(SELECT coalesce(max(version_id), 0) FROM roomspa.goose_db_version WHERE is_applied),
	(SELECT oldest_served FROM roomspa.compatibility)`

// A Status is what Probe has seen.
type Status struct {
	Server       string // version of the server
	Schema       int64  // version of the schema
	OldestServed int64  // the oldest version whose binaries the schema still serves
	ReadOnly     bool
}

// Probe asks whether the database can be used: it answers, accepts writes, and has
// a schema that this binary can work with. The Status holds what was seen, also
// beside an error.
func (db *DB) Probe(ctx context.Context) (Status, error) {
	var s Status
	err := db.trip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		err := conn.QueryRow(ctx, probe).Scan(&s.Server, &s.ReadOnly, &s.Schema, &s.OldestServed)
		if err != nil {
			return err
		}
		f := s.problem()
		db.mismatch.Store(f)
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

// problem says what keeps this binary from working with what was seen. A schema
// that is merely newer does not: it says itself how far back it serves.
func (s Status) problem() *failure {
	switch {
	case s.Schema < schemaVersion:
		return unavailable(causeSchemaOld, fmt.Sprintf(
			"the schema is too old: it has version %d, this binary needs %d: run roomspa migrate up", s.Schema, schemaVersion))
	case s.OldestServed > schemaVersion:
		return unavailable(causeSchemaNew, fmt.Sprintf(
			"the schema is too new: it has version %d and serves binaries of %d and later, this binary serves up to %d: use a newer roomspa",
			s.Schema, s.OldestServed, schemaVersion))
	case s.ReadOnly:
		return unavailable(causeReadOnly, "")
	}
	return nil
}
