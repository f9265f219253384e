package postgres

import (
	"errors"

	"github.com/roomspa/roomspa/internal/room"
)

// The causes, as [Cause] returns them and the metric names them.
const (
	causeRefused       = "refused"
	causeUnreachable   = "unreachable"
	causeDNS           = "name_not_found"
	causeTLS           = "tls"
	causePassword      = "wrong_password"
	causeNoDatabase    = "no_such_database"
	causePermission    = "permission_denied"
	causeTooMany       = "too_many_connections"
	causeStarting      = "starting"
	causeShutdown      = "shutting_down"
	causePool          = "pool_timeout"
	causePooler        = "transaction_pooler"
	causeStatement     = "statement_timeout"
	causeLock          = "lock_timeout"
	causeStalled       = "stalled"
	causeLost          = "connection_lost"
	causeDeadlock      = "deadlock"
	causeReadOnly      = "read_only"
	causeDiskFull      = "disk_full"
	causeMemory        = "out_of_memory"
	causeSchemaMissing = "schema_missing"
	causeSchemaOld     = "schema_too_old"
	causeSchemaNew     = "schema_too_new"
	causeQueueFull     = "queue_full"
	causeStopped       = "stopped"
	causeCallerGone    = "caller_gone"
	causeRejected      = "rejected"
	causeOther         = "other"
)

// causes has a sentence for each cause.
var causes = map[string]string{
	causeRefused:       "connection refused",
	causeUnreachable:   "the server is unreachable",
	causeDNS:           "the host name cannot be resolved",
	causeTLS:           "the TLS handshake failed",
	causePassword:      "the server rejects the user or the password",
	causeNoDatabase:    "the database does not exist",
	causePermission:    "permission denied",
	causeTooMany:       "the server has no free connection",
	causeStarting:      "the server is starting up or recovering",
	causeShutdown:      "the server is shutting down",
	causePool:          "timed out waiting for a connection",
	causePooler:        "there is a connection pooler in transaction mode in front of the server: set --database-pooler pgbouncer",
	causeStatement:     "the statement timed out",
	causeLock:          "timed out waiting for a lock that another transaction holds",
	causeStalled:       "the server does not respond",
	causeLost:          "the connection was lost",
	causeDeadlock:      "the server ended the transaction because of a deadlock",
	causeReadOnly:      "the server is read-only: a standby, or a full or protected primary",
	causeDiskFull:      "the server's disk is full",
	causeMemory:        "the server is out of memory",
	causeSchemaMissing: "there is no roomspa schema: run roomspa migrate up",
	causeQueueFull:     "too many calls are waiting for the database",
	causeStopped:       "this replica is stopping",
	causeCallerGone:    "the caller did not wait for the answer",
	causeRejected:      "the server rejects the value",
	causeOther:         "the server reports an error",
}

// A failure is the error that all foreign errors are translated to. It does not wrap
// them, so it cannot reveal a secret of theirs.
type failure struct {
	cause  string
	detail string  // in addition to the sentence of the cause, or instead of it
	wraps  []error // sentinels of package room and context errors
}

func (f *failure) Error() string {
	text := causes[f.cause]
	switch {
	case text == "":
		text = f.detail
	case f.detail != "":
		text += " (" + f.detail + ")"
	}
	if f.cause == causeRejected {
		return text
	}
	if errors.Is(f, room.ErrOutcomeUnknown) {
		text += "; whether it was committed is not known"
	}
	return "database unavailable: " + text
}

func (f *failure) Unwrap() []error { return f.wraps }

// newFailure returns a failure that wraps [room.ErrUnavailable].
func newFailure(cause, detail string, also ...error) *failure {
	return &failure{cause, detail, append(also, room.ErrUnavailable)}
}

// withUnknownOutcome returns a copy that also wraps [room.ErrOutcomeUnknown].
func (f *failure) withUnknownOutcome() *failure {
	g := *f
	g.wraps = append([]error{room.ErrOutcomeUnknown}, f.wraps...)
	return &g
}

// Cause returns the cause of the failure as defined by package cause, or "" if Postgres
// itself did not fail.
func (f *failure) Cause() string {
	switch f.cause {
	case causeStopped, causeCallerGone, causeRejected:
		return ""
	case causeSchemaMissing, causeSchemaOld, causeSchemaNew:
		return f.cause
	case causeLock:
		return "postgres_locked"
	}
	return "postgres_" + f.cause
}

// Cause returns why Postgres failed, as a stable word such as refused, pool_timeout,
// lock_timeout or read_only. It returns "" for other errors.
func Cause(err error) string {
	if f, ok := errors.AsType[*failure](err); ok {
		return f.cause
	}
	return ""
}
