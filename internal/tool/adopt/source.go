package adopt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A source is a snapshot of the predecessor's database, on a connection of its own.
type source struct {
	conn *pgx.Conn
	tx   pgx.Tx
}

const connectLimit = 10 * time.Second

// open connects and begins the snapshot. No error holds the password: why a URL
// cannot be read is not passed on, since the reason quotes it.
func open(ctx context.Context, o Options) (*source, error) {
	cfg, err := pgx.ParseConfig(o.URL)
	if err != nil || o.URL == "" {
		return nil, errors.New("the predecessor's URL cannot be read: it should look like postgres://user:password@host:5432/name")
	}
	cfg.ConnectTimeout = connectLimit
	maps.Copy(cfg.RuntimeParams, map[string]string{
		"application_name": "roomspa import", "timezone": cmp.Or(o.TimeZone, "UTC"),
		"default_transaction_read_only": "on", "statement_timeout": "0", "idle_in_transaction_session_timeout": "0",
		"client_encoding": "UTF8",
	})
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
			return nil, fmt.Errorf("connect to the predecessor's database: %s", pg.Message)
		}
		return nil, fmt.Errorf("connect to the predecessor's database at %s: it cannot be reached: %w", cfg.Host, errors.Unwrap(err))
	}
	s := &source{conn: conn}
	if s.tx, err = conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}); err != nil {
		s.close(ctx)
		return nil, fmt.Errorf("begin a snapshot of the predecessor's database: %w", err)
	}
	return s, nil
}

func (s *source) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectLimit)
	defer cancel()
	_ = s.conn.Close(ctx) // it was only read
}

// each runs a query and calls f for each row, as they come.
func (s *source) each(ctx context.Context, sql string, f func(pgx.Rows) error) error {
	rows, err := s.tx.Query(ctx, sql)
	if err != nil {
		return fmt.Errorf("read the predecessor's database: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the predecessor's database: %w", err)
	}
	return nil
}
