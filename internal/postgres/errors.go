package postgres

import (
	"errors"
	"strings"

	"github.com/roomspa/roomspa/internal/room"
)

// The causes that are used in this package, as [Cause] returns them and the metric names them.
// Package cause knows the causes of what the server reports.
const (
	causeRefused       = "refused"
	causeUnreachable   = "unreachable"
	causeDNS           = "name_not_found"
	causeTLS           = "tls"
	causeTLSRequired   = "tls_required"
	causeNoTLS         = "no_tls"
	causeUnknownCA     = "unknown_ca"
	causeClientCert    = "client_certificate"
	causeHostRejected  = "host_rejected"
	causeNotPostgres   = "not_postgres"
	causeRowSecurity   = "row_security"
	causeEncoding      = "encoding"
	causeForeign       = "foreign_trigger"
	causeNoStandby     = "sync_standby_missing"
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
	causeFiles         = "too_many_open_files"
	causeOther         = "other"
)

// causes has a sentence for each cause.
var causes = map[string]string{
	causeRefused:      "connection refused",
	causeUnreachable:  "the server is unreachable",
	causeDNS:          "the host name cannot be resolved",
	causeTLS:          "the TLS handshake failed",
	causePassword:     "the server rejects the user or the password",
	causeNoDatabase:   "the database does not exist",
	causePermission:   "permission denied",
	causeTLSRequired:  "the server takes this user by TLS only",
	causeNoTLS:        "the server offers no TLS",
	causeUnknownCA:    "the authority that signed the server's certificate is not known here",
	causeClientCert:   "the server wants a client certificate",
	causeHostRejected: "pg_hba.conf does not let this user in from here",
	causeRowSecurity:  "row-level security rejects the row",
	causeEncoding:     "the encoding of the database lacks a character",
	causeForeign:      "a trigger or rule on a table of roomspa that is not roomspa's own makes the statement fail",
	causeNoStandby:    "commits wait for a synchronous standby, and none is connected",

	"auth_method":           "pg_hba.conf demands another authentication than a password",
	"role_refused":          "the user does not exist or may not log in",
	"bad_parameter":         "the server does not accept a parameter of the database URL",
	"database_closed":       "the database accepts no connections",
	"limit_exceeded":        "a limit in the server's configuration is exceeded",
	"idle_session_timeout":  "the server ended an idle connection",
	"io_error":              "the server cannot read or write a file",
	"corrupted":             "the server's data is damaged",
	"wraparound":            "the server accepts no writes, to prevent wraparound",
	"statement_too_complex": "the statement is too complex",
	"pooler_login":          "the pooler cannot log in to the server",
	"schema_damaged":        "a part of the roomspa schema is missing",
	causeTooMany:            "the server has no free connection",
	causeStarting:           "the server is starting up or recovering",
	causeShutdown:           "the server is shutting down",
	causePool:               "timed out waiting for a connection",
	causePooler:             "there is a connection pooler in transaction mode in front of the server: set --database-pooler pgbouncer",
	causeStatement:          "the statement timed out",
	causeLock:               "timed out waiting for a lock that another transaction holds",
	causeStalled:            "the server does not respond",
	causeLost:               "the connection was lost",
	causeDeadlock:           "the server ended the transaction because of a deadlock",
	causeReadOnly:           "the server is read-only: a standby, or a full or protected primary",
	causeDiskFull:           "the server's disk is full",
	causeMemory:             "the server is out of memory",
	causeSchemaMissing:      "there is no roomspa schema: run roomspa migrate up",
	causeQueueFull:          "too many calls are waiting for the database",
	causeStopped:            "this replica is stopping",
	causeCallerGone:         "the caller did not wait for the answer",
	causeRejected:           "the server rejects the value",
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
	case f.cause == causeOther:
		text = "no cause is known for: " + f.detail
	case text == "":
		text = f.detail
	case f.detail != "":
		text += " (" + f.detail + ")"
	}
	if f.isValue() {
		return text
	}
	if errors.Is(f, room.ErrOutcomeUnknown) {
		text += "; whether it was committed is not known"
	}
	return "database unavailable: " + text
}

func (f *failure) Unwrap() []error { return f.wraps }

// isValue reports whether the server cannot store one value, and takes others.
func (f *failure) isValue() bool {
	return f.cause == causeRejected || f.cause == causeEncoding || f.cause == causeForeign && f.wraps == nil
}

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
	case causeFiles:
		return f.cause
	case causeLock:
		return locked
	}
	if strings.HasPrefix(f.cause, "schema_") {
		return f.cause
	}
	return prefix + f.cause
}

const (
	prefix = "postgres_" // of the words of package cause
	locked = "postgres_locked"
)

// shortCause returns the cause for a word of package cause, or causeOther for "".
func shortCause(word string) string {
	switch word {
	case "":
		return causeOther
	case locked:
		return causeLock
	}
	return strings.TrimPrefix(word, prefix)
}

// rejectsValue reports whether an error says that the server cannot store one value, and takes
// others.
func rejectsValue(err error) bool {
	f, ok := errors.AsType[*failure](err)
	return ok && f.isValue()
}

// Cause returns why Postgres failed, as a stable word such as refused, pool_timeout,
// lock_timeout or read_only. It returns "" for other errors.
func Cause(err error) string {
	if f, ok := errors.AsType[*failure](err); ok {
		return f.cause
	}
	return ""
}
