package adopt

import (
	"context"
	"errors"
	"fmt"
)

// passes is how often --apply copies what came meanwhile.
const passes = 3

// makeIndex makes the index of the numbers, by which this package finds messages. Nothing else
// needs it. The first run finds an empty table, or a small one.
const makeIndex = `CREATE UNIQUE INDEX IF NOT EXISTS messages_number ON roomspa.messages (number)`

// Apply makes the view on Django's users and copies what is new in Django's tables. It returns
// who writes into them; nobody if the copy is complete.
func (a *Adoption) Apply(ctx context.Context) (writers []string, err error) {
	if a.broken != nil {
		return nil, a.broken
	}
	if err := a.require(ctx, "--apply"); err != nil {
		return nil, err
	}
	before, err := a.state(ctx)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(before.refuseOwn(), a.checkUsers(ctx)); err != nil {
		return nil, err
	}
	if err := a.take(ctx); err != nil {
		return nil, err
	}
	if _, err := a.write(ctx, statement{sql: makeIndex}); err != nil {
		return nil, fmt.Errorf("make the index of message numbers: %w", a.explain(err))
	}
	if err := a.step("users", func() (string, error) { return a.makeView(ctx) }); err != nil {
		return nil, err
	}
	for pass := 1; ; pass++ {
		if err := a.copy(ctx, before.returnedThrough); err != nil {
			return nil, err
		}
		var fresh int64
		writers, fresh, err = a.writers(ctx)
		if err != nil {
			return nil, fmt.Errorf("look for writers: %w", a.explain(err))
		}
		if fresh == 0 || pass == passes {
			if fresh > 0 {
				writers = append(writers, fmt.Sprintf("somebody: %d messages came while this ran", fresh))
			}
			break
		}
	}
	_, err = a.write(ctx, statement{sql: `UPDATE roomspa.adoption SET applied_at = now()`}, statement{sql: dropTables})
	return writers, err
}

// copy is one pass over Django's tables. Each step sees what is there already.
func (a *Adoption) copy(ctx context.Context, returnedThrough int64) error {
	for _, s := range []struct {
		name string
		run  func() (string, error)
	}{
		{"numbers", func() (string, error) { return a.raiseSequences(ctx) }},
		{"new messages", func() (string, error) { return a.fillQueue(ctx) }},
		{"conversations", func() (string, error) { return a.copyConversations(ctx) }},
		{"messages", func() (string, error) { return a.copyMessages(ctx) }},
		{"changes", func() (string, error) { return a.copyChanges(ctx, returnedThrough) }},
		{"read marks", func() (string, error) { return a.copyCursors(ctx) }},
		{"tokens", func() (string, error) { return a.copyTokens(ctx) }},
		{"numbers", func() (string, error) { return a.raiseSequences(ctx) }},
	} {
		if err := a.step(s.name, s.run); err != nil {
			return err
		}
	}
	return nil
}
