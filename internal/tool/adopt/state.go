package adopt

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// begin makes this run the one that may write. An earlier run that still goes on stops at its
// next batch.
const begin = `
INSERT INTO roomspa.adoption (source, runner) VALUES ($1, $2)
ON CONFLICT (only_row) DO UPDATE SET runner = excluded.runner, source = excluded.source`

const hold = `SELECT runner FROM roomspa.adoption FOR UPDATE`

// hold locks the state for the transaction, and fails if another run has begun.
func (a *Adoption) hold(ctx context.Context, tx pgx.Tx) error {
	var runner string
	err := tx.QueryRow(ctx, hold).Scan(&runner)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return refuse("nothing was adopted yet: run roomspa adopt django --apply")
	case err != nil:
		return err
	case runner != a.runner:
		return refuse("another roomspa adopt django has begun since, so this one stops")
	}
	return nil
}

// take begins a run of --apply or --return.
func (a *Adoption) take(ctx context.Context) error {
	err := a.transaction(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, begin, a.src.schema, a.runner)
		return err
	})
	if err != nil {
		return fmt.Errorf("begin: %w", a.explain(err))
	}
	return nil
}

// A state is what earlier runs have done.
type state struct {
	adopted         bool // an --apply has begun
	applied         bool // and one is complete
	returnedThrough int64
	own             int64 // messages that only roomspa has
	firstOwn        int64 // the number of the first of them
}

const readState = `SELECT applied_at IS NOT NULL, returned_through FROM roomspa.adoption`

const countOwn = `
SELECT count(*), coalesce(min(m.number), 0) FROM roomspa.messages m
WHERE (m.number > $1 OR m.number IS NULL) AND ({m_is_adopted}) IS NOT TRUE`

func (a *Adoption) state(ctx context.Context) (s state, err error) {
	err = a.transaction(ctx, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, readState).Scan(&s.applied, &s.returnedThrough)
		if s.adopted = err == nil; err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		return tx.QueryRow(ctx, a.src.sql(countOwn), s.returnedThrough).Scan(&s.own, &s.firstOwn)
	})
	if err != nil {
		return s, fmt.Errorf("read the state of the adoption: %w", a.explain(err))
	}
	return s, nil
}

// refuseOwn returns an error if roomspa has stored messages that Django's tables lack.
func (s state) refuseOwn() error {
	switch {
	case s.own == 0:
		return nil
	case s.adopted:
		return refuse("roomspa has stored %d messages of its own (the first has number %d): run roomspa adopt django --return before another --apply, so that both sides have all messages",
			s.own, s.firstOwn)
	default:
		return refuse("roomspa has stored %d messages, and none of them came from Django: --apply needs a schema roomspa without messages. If they are from trying it out, delete them: TRUNCATE roomspa.messages, roomspa.conversations, roomspa.cursors",
			s.own)
	}
}
