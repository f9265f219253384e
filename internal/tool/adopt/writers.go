package adopt

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// tryLock succeeds only if no transaction is writing. It waits for none, and ends at once.
const tryLock = `LOCK TABLE {chat_conversation}, {chat_participants}, {chat_message} IN SHARE MODE NOWAIT`

// selectWriters returns the sessions that hold or await a lock for writing Django's chat tables,
// or are running a statement that names one of them.
const selectWriters = `
SELECT format('session %s of user %s%s%s: %s since %s', s.pid, coalesce(s.usename, '?'),
	coalesce(' at ' || host(s.client_addr), ''), coalesce(' (' || nullif(s.application_name, '') || ')', ''),
	coalesce(s.state, 'running'), date_trunc('second', coalesce(s.xact_start, s.query_start, s.backend_start)))
FROM pg_catalog.pg_stat_activity s
WHERE s.pid <> pg_backend_pid() AND s.datname = current_database() AND (
	s.pid IN (
		SELECT l.pid FROM pg_catalog.pg_locks l
		WHERE l.relation = ANY($1::oid[]) AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
	) OR s.state = 'active' AND s.query ~* '(insert\s+into|update|delete\s+from)\s+("?\w+"?\.)?"?chat_(message|conversation)'
)
ORDER BY s.pid`

// countFresh counts the messages that came after the queue was filled. It looks at the last ones
// only, because numbers are given in their order: a transaction may be late by a few.
const countFresh = `
SELECT count(*) FROM {bare_messages} d
WHERE d.number > (SELECT max(x.id) - 50000 FROM {chat_message} x) AND NOT EXISTS (SELECT FROM roomspa.messages m WHERE m.number = d.number)
	AND NOT EXISTS (SELECT FROM roomspa.adoption_queue q WHERE q.number = d.number)`

// writers returns the sessions that write into Django's chat tables, and the number of messages
// that came since the last pass began.
func (a *Adoption) writers(ctx context.Context) (found []string, fresh int64, err error) {
	locked := a.transaction(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, a.src.sql(tryLock))
		return err
	})
	pg, ok := errors.AsType[*pgconn.PgError](locked)
	busy := ok && pg.Code == "55P03"
	if locked != nil && !busy && (!ok || pg.Code != "42501") { // without the privilege, the sessions tell
		return nil, 0, locked
	}
	oids := []uint32{}
	for _, t := range chatTables {
		oids = append(oids, a.src.tables[t].oid)
	}
	err = a.transaction(ctx, func(tx pgx.Tx) error {
		rows, _ := tx.Query(ctx, selectWriters, oids)
		if found, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			return err
		}
		return tx.QueryRow(ctx, a.src.sql(countFresh)).Scan(&fresh)
	})
	if busy && len(found) == 0 {
		found = append(found, "somebody who has ended meanwhile: "+pg.Message)
	}
	return found, fresh, err
}
