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

// translate makes an error of this package out of one of pgx's, and counts it. It
// is the only place that knows foreign errors. caller is the context of whoever
// asked, without our own time limit.
func (db *DB) translate(caller context.Context, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return room.ErrNotFound
	}
	f, ok := errors.AsType[*failure](err)
	if !ok {
		f = classify(caller, err)
		f.detail = withoutPassword(f.detail, db.password)
	}
	switch {
	case db.closed.Load():
		f = unavailable(causeStopped, "")
	case f.cause == causeReadOnly:
		db.connectAnew()
	}
	db.metrics.failed(f)
	return f
}

// connectAnew drops the pool's connections where the server no longer accepts
// writes: the primary may be another host by now. Not more often than a connection
// may take to make, since a protected primary goes on refusing.
func (db *DB) connectAnew() {
	now, last := time.Now().UnixNano(), db.renewed.Load()
	if now-last > int64(db.opts.AcquireTimeout) && db.renewed.CompareAndSwap(last, now) {
		db.pool.Reset()
	}
}

func withoutPassword(s, password string) string {
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
		return unavailable(causeCallerGone, "", caller.Err())
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return unavailable(classifyConnect(err), address(err))
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), pgconn.Timeout(err):
		return unavailable(causeStalled, "", context.DeadlineExceeded)
	case isNetwork(err):
		return unavailable(causeLost, "")
	default:
		return unavailable(causeOther, err.Error())
	}
}

// classifyServer goes by SQLSTATE (PostgreSQL, appendix A): the texts are
// translated into the server's language.
func classifyServer(pg *pgconn.PgError) *failure {
	said := pg.Message + ", SQLSTATE " + pg.Code
	switch pg.Code {
	case "28P01", "28000":
		return unavailable(causePassword, said)
	case "3D000":
		return unavailable(causeNoDatabase, said)
	case "42501":
		return unavailable(causePermission, said)
	case "53300":
		return unavailable(causeTooMany, said)
	case "53100":
		return unavailable(causeDiskFull, said)
	case "53200":
		return unavailable(causeMemory, said)
	case "57P03":
		return unavailable(causeStarting, said)
	case "57P01", "57P02":
		return unavailable(causeShutdown, said)
	case "57014":
		return unavailable(causeStatement, said)
	case "55P03":
		return unavailable(causeLock, said)
	case "25006":
		return unavailable(causeReadOnly, said)
	case "40P01", "40001":
		return unavailable(causeDeadlock, said)
	case "3F000", "42P01", "42703":
		return unavailable(causeSchemaMissing, said)
	case "08P01": // PgBouncer's own, for a pool that has nothing for us
		return unavailable(causePool, said)
	}
	switch pg.Code[:min(2, len(pg.Code))] {
	case "22", "23", "54": // data exception, constraint violated, limit exceeded
		return &failure{cause: causeRejected, detail: said}
	case "08":
		return unavailable(causeLost, said)
	}
	return unavailable(causeOther, said)
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

// address is where the connection was tried, if the error knows it.
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
