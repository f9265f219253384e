package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/portpeek"
)

// A finding is what is known about a failure beside its own text.
type finding struct {
	at          time.Time
	about       string // the cause for which it was looked
	cause, text string // what was found; "" if nothing was
}

// findings are kept for the failures that follow.
type findings struct {
	last   atomic.Pointer[finding] // of investigate
	before atomic.Pointer[finding] // the last trouble of the server itself
}

const (
	findingLife  = 15 * time.Second // how long a finding counts, and how often it is looked for
	troubleLife  = 15 * time.Minute // how long before an outage a trouble of the server may be its reason
	investigates = 2 * time.Second
)

// complete returns a failure with what is known beside it. If the server cannot be reached, its
// last trouble may be the reason: a full disk stops it.
func (s *findings) complete(f *failure) *failure {
	switch f.cause {
	case causeDiskFull, causeMemory, "io_error", "corrupted", "wraparound":
		s.before.Store(&finding{at: time.Now(), cause: f.Cause(), text: f.detail})
		return f
	}
	if found := s.last.Load(); found != nil && found.about == f.cause && found.cause != "" && time.Since(found.at) < findingLife {
		return f.as(found.cause, found.text)
	}
	switch f.cause {
	case causeRefused, causeStarting, causeShutdown, causeLost, causeStalled:
	default:
		return f
	}
	b := s.before.Load()
	if b == nil || time.Since(b.at) > troubleLife {
		return f
	}
	again := *b
	again.at = time.Now() // it counts as long as the outage lasts
	s.before.CompareAndSwap(b, &again)
	g := *f
	g.detail = strings.TrimPrefix(fmt.Sprintf("%s; before that %s: %s. %s", f.detail, b.cause, b.text, cause.Cure(b.cause)), "; ")
	return &g
}

// as returns a copy of a failure with another cause, and a text before its own.
func (f *failure) as(word, text string) *failure {
	g := *f
	g.cause, g.detail = word, strings.TrimSuffix(text+"; "+f.detail, "; ")
	return &g
}

// investigate looks once more after a failure whose text tells too little, and returns an error
// that says what it has found. It sends no password, takes 2 s at most, and looks once in 15 s.
func (db *DB) investigate(ctx context.Context, err error) error {
	f, ok := errors.AsType[*failure](err)
	if !ok || db.closed.Load() {
		return err
	}
	var look func(ctx context.Context, network, address string) (cause, text string)
	config := db.target.Load().config
	switch f.cause {
	case causeHostRejected:
		if config.TLSConfig != nil {
			return err
		}
		look = db.askByTLS
	case causeStalled, causeLost, causeOther, causeTLS, causeNoTLS:
		look = askPort
	default:
		return err
	}
	if last := db.found.last.Load(); last != nil && last.about == f.cause && time.Since(last.at) < findingLife {
		return err // complete has added it
	}
	ctx, cancel := context.WithTimeout(ctx, investigates)
	defer cancel()
	network, address := pgconn.NetworkAddress(config.Host, config.Port)
	fresh := &finding{at: time.Now(), about: f.cause}
	fresh.cause, fresh.text = look(ctx, network, address)
	db.found.last.Store(fresh)
	if fresh.cause == "" {
		return err
	}
	return f.as(fresh.cause, fresh.text)
}

// askPort finds out whether something else than Postgres listens.
func askPort(ctx context.Context, network, address string) (cause, text string) {
	switch a := portpeek.Ask(ctx, network, address); a.Protocol {
	case "", portpeek.Postgres:
		return "", ""
	default:
		return causeNotPostgres, address + " is not Postgres, but " + a.String()
	}
}

// askByTLS finds out whether the server would let the user in by TLS. pg_hba.conf refuses a plain
// connection in the same words if it has no line for this host, and if its line wants TLS.
func (db *DB) askByTLS(ctx context.Context, network, address string) (cause, text string) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return "", ""
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline) // fails for a closed connection only
	answer := make([]byte, 1)
	if _, err := conn.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}); err != nil { // SSLRequest (PostgreSQL, chapter 55.7)
		return "", ""
	}
	if _, err := conn.Read(answer); err != nil || answer[0] != 'S' {
		return "", ""
	}
	secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // no password is sent
	config := db.target.Load().config
	hello := pgproto3.StartupMessage{
		ProtocolVersion: pgproto3.ProtocolVersionNumber,
		Parameters:      map[string]string{"user": config.User, "database": config.Database},
	}
	front := pgproto3.NewFrontend(secure, secure)
	front.Send(&hello)
	if err := front.Flush(); err != nil {
		return "", ""
	}
	m, err := front.Receive()
	if _, refused := m.(*pgproto3.ErrorResponse); err == nil && !refused { // it asks for a password, or lets the user in
		return causeTLSRequired, "by TLS it would let the user in"
	}
	return "", ""
}
