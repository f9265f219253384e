package postgres

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// writeFailureLife is how long a failed write counts if none succeeds after it.
const writeFailureLife = 5 * time.Minute

// A writeFailure is the last failure to write messages. Reads may work while nothing can be
// written, for instance when the disk is full.
type writeFailure struct {
	last atomic.Pointer[timedFailure]
}

type timedFailure struct {
	*failure

	at time.Time
}

// note records the outcome of a commit.
func (w *writeFailure) note(ds []*draft) {
	for _, d := range ds {
		if d.err == nil {
			if w.last.Load() != nil {
				w.last.Store(nil)
			}
			return
		}
	}
	for _, d := range ds {
		if f, ok := errors.AsType[*failure](d.err); ok {
			switch f.cause {
			case causeDiskFull, causeMemory, causePermission, causeRowSecurity, causeReadOnly, causeSchemaMissing, causeOther,
				"schema_damaged", "io_error", "corrupted", "wraparound", "limit_exceeded", "statement_too_complex":
				w.last.Store(&timedFailure{f, time.Now()})
				return
			}
		}
	}
}

// CheckWrites returns why the last messages could not be stored although the server responds: a
// full disk, a permission that is missing, a trigger that fails. It returns nil if the last commit
// was successful, or failed more than five minutes ago. It performs no I/O.
func (db *DB) CheckWrites(context.Context) error {
	if f := db.writes.last.Load(); f != nil && time.Since(f.at) < writeFailureLife {
		return f.failure
	}
	return nil
}
