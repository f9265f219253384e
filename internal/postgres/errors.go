package postgres

import (
	"errors"

	"github.com/roomspa/roomspa/internal/room"
)

// The causes, as [Cause] and the metric name them.
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

// causes is each of them as a sentence.
var causes = map[string]string{
	causeRefused:       "nothing accepts connections there",
	causeUnreachable:   "the server cannot be reached",
	causeDNS:           "the host's name cannot be resolved",
	causeTLS:           "TLS could not be agreed on",
	causePassword:      "the server does not accept the user or the password",
	causeNoDatabase:    "there is no database of that name",
	causePermission:    "the user lacks a permission",
	causeTooMany:       "the server has no connection left for us",
	causeStarting:      "the server is starting up or recovering",
	causeShutdown:      "the server is shutting down",
	causePool:          "no connection became free or was made in time",
	causeStatement:     "the statement took too long",
	causeLock:          "another transaction holds a lock that this one needs",
	causeStalled:       "the server does not answer",
	causeLost:          "the connection was lost",
	causeDeadlock:      "the transaction was in another's way and was ended",
	causeReadOnly:      "the server accepts no writes: a standby, or a full or protected primary",
	causeDiskFull:      "the server's disk is full",
	causeMemory:        "the server is out of memory",
	causeSchemaMissing: "there is no roomspa schema: run roomspa migrate up",
	causeQueueFull:     "too many calls wait for the database already",
	causeStopped:       "this replica is stopping",
	causeCallerGone:    "the caller did not wait for the answer",
	causeRejected:      "the server does not accept the value",
	causeOther:         "the server reports an error",
}

// A failure is what any foreign error becomes. It keeps no foreign error, so no
// secret of one can come to light.
type failure struct {
	cause  string
	detail string  // beside the cause's sentence, or instead of it
	is     []error // sentinels of package room, and how a context ended
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

func (f *failure) Unwrap() []error { return f.is }

// unavailable makes a failure that is [room.ErrUnavailable].
func unavailable(cause, detail string, also ...error) *failure {
	return &failure{cause, detail, append(also, room.ErrUnavailable)}
}

// unknown returns the failure as one that may have come after the commit.
func (f *failure) unknown() *failure {
	g := *f
	g.is = append([]error{room.ErrOutcomeUnknown}, f.is...)
	return &g
}

// Cause returns the word as [room.Cause] gives it on: one among those of all stores. It is
// "" where it was not Postgres that failed.
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

// Cause returns the stable word for why Postgres failed, such as refused,
// pool_timeout, lock_timeout or read_only, or "" for an error of another making.
func Cause(err error) string {
	if f, ok := errors.AsType[*failure](err); ok {
		return f.cause
	}
	return ""
}
