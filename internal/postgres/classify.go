package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/roomspa/roomspa/internal/room"
)

// translate turns an error of pgx into one of this package, and counts it. caller is
// the context of the call, without the roundtrip timeout.
func (db *DB) translate(caller context.Context, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return room.ErrNotFound
	}
	f, ok := errors.AsType[*failure](err)
	if !ok {
		f = classify(caller, err)
		f.detail = redact(f.detail, db.password)
	}
	switch {
	case db.closed.Load():
		f = newFailure(causeStopped, "")
	case f.cause == causeReadOnly:
		db.resetPool()
	}
	db.metrics.countFailure(f)
	return f
}

// resetPool drops all connections after the server has become read-only, since another
// host may be the primary now. It does so once per acquire timeout at most: a primary
// that is protected stays read-only.
func (db *DB) resetPool() {
	now, last := time.Now().UnixNano(), db.poolReset.Load()
	if now-last > int64(db.opts.AcquireTimeout) && db.poolReset.CompareAndSwap(last, now) {
		db.pool.Reset()
	}
}

// redact removes the password from a text.
func redact(s, password string) string {
	if password == "" {
		return s
	}
	return strings.ReplaceAll(s, password, "…")
}

func classify(caller context.Context, err error) *failure {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return classifyServer(pg)
	}
	if errors.Is(caller.Err(), context.Canceled) {
		return newFailure(causeCallerGone, "", caller.Err())
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return newFailure(classifyConnect(err), address(err))
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), pgconn.Timeout(err):
		return newFailure(causeStalled, "", context.DeadlineExceeded)
	case isNetwork(err):
		return newFailure(causeLost, "")
	default:
		return newFailure(causeOther, err.Error())
	}
}

// classifyServer uses the SQLSTATE (PostgreSQL, appendix A), since the server may
// translate its messages.
func classifyServer(pg *pgconn.PgError) *failure {
	detail := pg.Message + ", SQLSTATE " + pg.Code
	switch pg.Code {
	case "28P01", "28000":
		return newFailure(causePassword, detail)
	case "3D000":
		return newFailure(causeNoDatabase, detail)
	case "42501":
		return newFailure(causePermission, detail)
	case "53300":
		return newFailure(causeTooMany, detail)
	case "53100":
		return newFailure(causeDiskFull, detail)
	case "53200":
		return newFailure(causeMemory, detail)
	case "57P03":
		return newFailure(causeStarting, detail)
	case "57P01", "57P02":
		return newFailure(causeShutdown, detail)
	case "57014":
		return newFailure(causeStatement, detail)
	case "55P03":
		return newFailure(causeLock, detail)
	case "25006":
		return newFailure(causeReadOnly, detail)
	case "40P01", "40001":
		return newFailure(causeDeadlock, detail)
	case "3F000", "42P01", "42703":
		return newFailure(causeSchemaMissing, detail)
	case "42P05", "26000":
		return newFailure(causePooler, detail)
	case "08P01": // of PgBouncer
		if strings.Contains(pg.Message, "startup parameter") {
			return newFailure(causePooler, detail)
		}
		return newFailure(causePool, detail) // its pool has no free connection
	}
	switch pg.Code[:min(2, len(pg.Code))] {
	case "22", "23", "54": // data exception, constraint violated, limit exceeded
		return &failure{cause: causeRejected, detail: detail}
	case "08":
		return newFailure(causeLost, detail)
	}
	return newFailure(causeOther, detail)
}

func classifyConnect(err error) string {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return causeDNS
	}
	_, record := errors.AsType[tls.RecordHeaderError](err)
	_, cert := errors.AsType[*tls.CertificateVerificationError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, standby := errors.AsType[*pgconn.NotPreferredError](err)
	switch {
	case standby:
		return causeReadOnly
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return causeRefused
	case errors.Is(err, context.DeadlineExceeded), pgconn.Timeout(err):
		return causeStalled
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.ETIMEDOUT):
		return causeUnreachable
	case record || cert || authority || strings.Contains(err.Error(), "refused TLS"):
		return causeTLS
	case isNetwork(err):
		return causeLost
	}
	return causeUnreachable
}

// address returns the address of a failed connection attempt, if the error has it.
func address(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Addr != nil {
		return op.Addr.String()
	}
	return ""
}

func isNetwork(err error) bool {
	_, op := errors.AsType[net.Error](err)
	return op || pgconn.SafeToRetry(err) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, pgconn.ErrConnClosed)
}
