package postgres

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const server = `
SELECT current_setting('server_version'), pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean`

// Server asks for a sign of life and for what the server is, whatever the schema.
// Schema and OldestServed of the Status stay 0.
func (db *DB) Server(ctx context.Context) (Status, error) {
	var s Status
	err := db.trip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		if err := conn.QueryRow(ctx, server).Scan(&s.Server, &s.ReadOnly); err != nil {
			return err
		}
		if s.ReadOnly {
			return unavailable(causeReadOnly, "")
		}
		return nil
	})
	if err != nil {
		return s, fmt.Errorf("ask the server: %w", err)
	}
	return s, nil
}

// Address returns where Postgres is, without secrets: host:port/database, of each
// host where there are several.
func (db *DB) Address() string { return addressOf(db.pool.Config()) }

func addressOf(c *pgxpool.Config) string {
	var hosts []string
	add := func(host string, port uint16) {
		at := net.JoinHostPort(host, strconv.Itoa(int(port)))
		if strings.HasPrefix(host, "/") { // a Unix socket's directory
			at = host
		}
		if slices.Contains(hosts, at) { // once with TLS, once without
			return
		}
		hosts = append(hosts, at)
	}
	add(c.ConnConfig.Host, c.ConnConfig.Port)
	for _, f := range c.ConnConfig.Fallbacks {
		add(f.Host, f.Port)
	}
	return strings.Join(hosts, ",") + "/" + c.ConnConfig.Database
}
