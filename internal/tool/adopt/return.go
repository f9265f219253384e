package adopt

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Return writes what roomspa stored since into Django's tables: conversations, messages with
// their numbers, and read marks. It writes nothing twice, so it may be repeated.
func (a *Adoption) Return(ctx context.Context) error {
	if a.broken != nil {
		return a.broken
	}
	if err := a.src.checkReturn(); err != nil {
		return err
	}
	if err := a.require(ctx, "--return"); err != nil {
		return err
	}
	before, err := a.state(ctx)
	if err != nil {
		return err
	}
	if !before.applied {
		return refuse("no --apply is complete, so there is nothing to return: run roomspa adopt django --apply")
	}
	if err := a.take(ctx); err != nil {
		return err
	}
	if err := a.refuseConflicts(ctx, before.returnedThrough); err != nil {
		return err
	}
	for _, s := range []struct {
		name string
		run  func() (string, error)
	}{
		{"conversations", func() (string, error) { return a.returnConversations(ctx) }},
		{"messages", func() (string, error) { return a.returnMessages(ctx, before) }},
		{"last messages", func() (string, error) { return a.returnRest(ctx, before.returnedThrough) }},
		{"read marks", func() (string, error) { return a.returnChanges(ctx) }},
		{"overviews", func() (string, error) { return a.returnOverviews(ctx) }},
	} {
		if err := a.step(s.name, s.run); err != nil {
			return err
		}
	}
	_, err = a.write(ctx, statement{sql: `UPDATE roomspa.adoption SET returned_at = now()`})
	return err
}

// conflicts are numbers that both sides have given, because both were in use at the same time.
var conflicts = []oddity{
	{"messages that have the number of another message in Django", `
SELECT m.number AS x FROM roomspa.messages m JOIN {bare_messages} d ON d.number = m.number
WHERE m.number > $1 AND NOT {m_is_adopted} AND d.created_at <> m.created_at`},
	{"conversations that have the number of a conversation of others in Django", `
SELECT c.number AS x FROM roomspa.conversations c WHERE $1::bigint IS NOT NULL AND EXISTS (
	SELECT FROM {participants} p WHERE p.conversation_id = c.number GROUP BY p.conversation_id
	HAVING NOT bool_or(p.user_id IN (c.customer_id, c.therapist_id))
)`},
}

func (a *Adoption) refuseConflicts(ctx context.Context, through int64) error {
	found, err := a.find(ctx, conflicts, through)
	if err != nil {
		return fmt.Errorf("look for conflicts: %w", a.explain(err))
	}
	for _, f := range found {
		return refuse("roomspa and Django were both in use: roomspa has %d %s (%s). Nothing was written. Give those in roomspa new numbers and run --return again: UPDATE roomspa.messages SET number = DEFAULT WHERE number IN (…), or the same for roomspa.conversations",
			f.Count, f.What, f.list())
	}
	return nil
}

// returnRest writes what was stored while the earlier steps ran, under a lock that keeps replicas
// from storing more, and lets Django's numbers continue above all others.
func (a *Adoption) returnRest(ctx context.Context, through int64) (said string, err error) {
	var rows int64
	err = a.transaction(ctx, func(tx pgx.Tx) error {
		if err := a.hold(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `LOCK TABLE roomspa.messages, roomspa.conversations IN SHARE MODE`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, a.src.sql(a.src.insertConversations())); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, a.src.sql(a.src.insertMessages()), through, maxNumber)
		if err != nil {
			return err
		}
		rows = tag.RowsAffected()
		highest, err := a.raiseTheirs(ctx, tx)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE roomspa.adoption SET returned_through = greatest(returned_through, $1)`, highest)
		said = fmt.Sprintf("%d more; Django's numbers go on after %d", rows, highest)
		return err
	})
	return said, err
}

// replicasNow counts the replicas that run, or have ended just now.
const replicasNow = `SELECT count(*) FROM roomspa.replicas WHERE seen_at > now() - interval '30 seconds'`

// Replicas returns the number of replicas that run, or have ended just now.
func (a *Adoption) Replicas(ctx context.Context) (n int64, err error) {
	err = a.read(ctx, statement{sql: replicasNow}, &n)
	return n, err
}
