package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/certs"
	"github.com/roomspa/roomspa/internal/openfiles"
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
		f.detail = db.redact(f.detail)
	}
	switch {
	case db.closed.Load():
		f = newFailure(causeStopped, "")
	case f.cause == causeReadOnly:
		db.resetPool()
	}
	f = db.found.complete(f)
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
	if text := openfiles.Explain(err); text != "" {
		return newFailure(causeFiles, text)
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		word := classifyConnect(err)
		return newFailure(word, driverText(err, word))
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), pgconn.Timeout(err):
		return newFailure(causeStalled, driverText(err, causeStalled), context.DeadlineExceeded)
	case isNetwork(err):
		return newFailure(causeLost, driverText(err, causeLost))
	default:
		return newFailure(causeOther, err.Error())
	}
}

// classifyServer uses the table of package cause.
func classifyServer(pg *pgconn.PgError) *failure {
	f := newFailure(shortCause(cause.Postgres(pg.Code, pg.Message, pg.Routine)), pg.Message+", SQLSTATE "+pg.Code)
	if f.isValue() {
		f.wraps = nil
	}
	return foreignFailure(f, pg)
}

func classifyConnect(err error) string {
	_, unresolved := errors.AsType[*net.DNSError](err)
	_, standby := errors.AsType[*pgconn.NotPreferredError](err)
	switch {
	case unresolved:
		return causeDNS
	case standby:
		return causeReadOnly
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return causeRefused
	case errors.Is(err, context.DeadlineExceeded), pgconn.Timeout(err):
		return causeStalled
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.ETIMEDOUT):
		return causeUnreachable
	case strings.Contains(err.Error(), "refused TLS"):
		return causeNoTLS
	case certs.Explain(err) != "":
		return classifyTLS(err)
	case isNetwork(err):
		return causeLost
	}
	return causeOther
}

// classifyTLS returns the cause of a TLS handshake that failed.
func classifyTLS(err error) string {
	switch certs.KindOf(err) {
	case certs.UnknownAuthority:
		return causeUnknownCA
	case certs.NoTLS:
		return causeNoTLS
	case certs.WantsClientCertificate:
		return causeClientCert
	case certs.Other:
	}
	return causeTLS
}

// maxDriverText bounds a text of the driver, which may concern several hosts.
const maxDriverText = 500

// driverText returns what the driver says about a failure on the way to the server, in one line
// and without user and database. It returns "" if that is only that time has run out.
func driverText(err error, word string) string {
	switch word {
	case causeTLS, causeUnknownCA, causeClientCert:
		return certs.Explain(err)
	}
	if connect, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		err = connect.Unwrap()
	}
	var lines []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(lines, line) && !strings.HasPrefix(line, "timeout: context") && line != "context deadline exceeded" {
			lines = append(lines, line)
		}
	}
	text := strings.ToValidUTF8(strings.Join(lines, "; "), "")
	return text[:min(len(text), maxDriverText)]
}

func isNetwork(err error) bool {
	_, op := errors.AsType[net.Error](err)
	return op || pgconn.SafeToRetry(err) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, pgconn.ErrConnClosed)
}
