package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"regexp"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// migrationLockTimeout limits the wait of a migration's statement for a lock. All statements
// of replicas that need the table wait behind it, so it fails soon and can be repeated.
const migrationLockTimeout = "5s"

// concurrently matches statements that build or drop an index while others write. They wait
// for transactions and block nobody, so lock_timeout does not apply to them.
var concurrently = regexp.MustCompile(`(?im)^(CREATE|DROP)(?: UNIQUE)? INDEX CONCURRENTLY (?:IF (?:NOT )?EXISTS )?(?:roomspa\.)?(\w+)`)

// A migrationConnector makes connections whose statements have the limits of migrations,
// whatever the defaults of the server, the database and the role are.
type migrationConnector struct {
	driver.Connector
	pooled bool // behind PgBouncer, where sessions cannot have settings
}

// Connect makes a connection.
func (c migrationConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	own, ok := conn.(*stdlib.Conn)
	if !ok {
		return nil, errors.New("the driver has another type of connection")
	}
	return &migrationConn{Conn: own, pooled: c.pooled}, nil
}

// requireMigrationSession returns a failure if there is a pooler in transaction mode that the
// options do not declare: the lock of the session would not hold.
func requireMigrationSession(ctx context.Context, db *sql.DB, o Options) error {
	if o.PgBouncer {
		return nil
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // gives it back
	return conn.Raw(func(own any) error {
		return requireSession(ctx, own.(*migrationConn).Conn.Conn(), new(atomic.Int64)) //nolint:forcetypeassert,errcheck // of our connector
	})
}

type migrationConn struct {
	*stdlib.Conn
	pooled bool
}

const setMigrationLimits = `
SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '` + migrationLockTimeout + `', true),
	set_config('idle_in_transaction_session_timeout', '0', true),
	CASE WHEN current_setting('transaction_timeout', true) IS NOT NULL THEN set_config('transaction_timeout', '0', true) END`

// BeginTx begins a transaction.
func (c *migrationConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	if o.Isolation == driver.IsolationLevel(sql.LevelDefault) {
		o.Isolation = driver.IsolationLevel(sql.LevelReadCommitted)
	}
	tx, err := c.Conn.BeginTx(ctx, o)
	if err != nil || !c.pooled {
		return tx, err
	}
	if _, err := c.Conn.ExecContext(ctx, setMigrationLimits, nil); err != nil {
		_ = tx.Rollback()
		return nil, err
	}
	return tx, nil
}

// ExecContext executes a statement. An index that is built concurrently must have IF NOT
// EXISTS: what an interrupted attempt has left of it is dropped before, and a valid one stays.
func (c *migrationConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	m := concurrently.FindStringSubmatch(query)
	if m == nil {
		return c.Conn.ExecContext(ctx, query, args)
	}
	if !c.pooled {
		if err := c.setLockTimeout(ctx, "0"); err != nil {
			return nil, err
		}
		defer func() { _ = c.setLockTimeout(context.WithoutCancel(ctx), migrationLockTimeout) }()
	}
	if m[1] == "CREATE" {
		if err := c.dropInvalid(ctx, m[2]); err != nil {
			return nil, err
		}
	}
	result, err := c.Conn.ExecContext(ctx, query, args)
	pg, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case ok && pg.Code == "42809": // roomspa.users is a view: another application owns the users, and their indexes
		return driver.RowsAffected(0), nil
	case ok && pg.Code == "23505" && m[2] == "users_phone_number": // the migration has named the users
		if err := c.dropInvalid(ctx, m[2]); err != nil {
			return nil, err
		}
		return c.Conn.ExecContext(ctx, strings.Replace(query, " UNIQUE", "", 1), args)
	}
	return result, err
}

func (c *migrationConn) setLockTimeout(ctx context.Context, timeout string) error {
	_, err := c.Conn.ExecContext(ctx, `SET lock_timeout = '`+timeout+`'`, nil)
	return err
}

const invalidIndex = `
SELECT EXISTS (
	SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
	WHERE c.relnamespace = to_regnamespace('roomspa') AND c.relname = $1 AND NOT i.indisvalid
)`

// dropInvalid drops an index that an interrupted attempt has left.
func (c *migrationConn) dropInvalid(ctx context.Context, name string) error {
	rows, err := c.QueryContext(ctx, invalidIndex, []driver.NamedValue{{Ordinal: 1, Value: name}})
	if err != nil {
		return err
	}
	found := make([]driver.Value, 1)
	err = rows.Next(found)
	if closed := rows.Close(); err == nil {
		err = closed
	}
	if invalid, ok := found[0].(bool); err != nil || !ok || !invalid {
		return err
	}
	_, err = c.Conn.ExecContext(ctx, `DROP INDEX CONCURRENTLY IF EXISTS roomspa.`+name, nil)
	return err
}
