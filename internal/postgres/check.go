package postgres

import (
	"context"
	"fmt"
)

// CheckServer reports whether the server answers and accepts writes. It returns the
// server's version as text.
func (db *DB) CheckServer(ctx context.Context) (detail string, err error) {
	s, err := db.ProbeServer(ctx)
	if s.Server == "" {
		return "", err
	}
	return "PostgreSQL " + s.Server, err
}

// CheckSchema reports whether the server can be used and this binary can work with its
// schema. It returns the versions of both as text.
func (db *DB) CheckSchema(ctx context.Context) (detail string, err error) {
	s, err := db.Probe(ctx)
	if s.Server == "" {
		return "", err
	}
	return fmt.Sprintf("PostgreSQL %s, schema version %d", s.Server, s.Schema), err
}
