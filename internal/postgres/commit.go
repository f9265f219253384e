package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

// mostCommit is how many messages become one transaction. One is under way at a time, or
// two where one of them is small: the next one takes all that came meanwhile, which costs
// half of what four beside each other cost, here and in the database.
const mostCommit = 500

type appending struct {
	conversation room.ID
	draft        room.Draft
}

type appended struct {
	message   room.Message
	duplicate bool
}

type draft = request[appending, appended]

// commit stores the committer's batch.
func (db *DB) commit(ctx context.Context, ds []*draft) {
	start := time.Now()
	firsts, repeats := collapse(ds)
	db.store(ctx, firsts, len(firsts) <= few)
	var again []*draft
	for _, r := range repeats {
		if Cause(r.first.err) == causeRejected {
			again = append(again, r.draft) // nothing stands yet under that id
			continue
		}
		r.draft.answer, r.draft.err = r.first.answer, r.first.err
		r.draft.answer.duplicate = true
	}
	if len(again) > 0 {
		db.commit(ctx, again)
	}
	db.metrics.commit.Observe(time.Since(start).Seconds())
	db.metrics.batch.Observe(float64(len(ds)))
}

type repeat struct{ draft, first *draft }

// collapse sets aside what has an id that stands earlier in the batch: one
// statement cannot see its own rows.
func collapse(ds []*draft) (firsts []*draft, repeats []repeat) {
	if len(ds) == 1 {
		return ds, nil
	}
	type key struct {
		conversation room.ID
		sender       room.UserID
		id           string
	}
	seen := make(map[key]*draft, len(ds))
	firsts = make([]*draft, 0, len(ds))
	for _, d := range ds {
		k := key{d.ask.conversation, d.ask.draft.Sender, d.ask.draft.ClientMessageID}
		if first := seen[k]; first != nil && k.id != "" {
			repeats = append(repeats, repeat{d, first})
			continue
		}
		seen[k] = d
		firsts = append(firsts, d)
	}
	return firsts, repeats
}

// store commits the drafts together. Where that fails because of some of them, the
// others are committed without these; where the database is away, all have failed.
func (db *DB) store(ctx context.Context, ds []*draft, fresh bool) {
	known, err := db.insert(ctx, ds, fresh)
	switch {
	case err == nil && len(known) > 0:
		db.store(ctx, known, false)
	case err == nil:
	case len(ds) > 1 && Cause(err) == causeRejected:
		// Halves find one bad row among 500 in 18 trips, and keep the order.
		db.log.WarnContext(ctx, "a batch of messages is split", "messages", len(ds), "cause", err)
		db.store(ctx, ds[:len(ds)/2], fresh)
		db.store(ctx, ds[len(ds)/2:], fresh)
	case Cause(err) == causeLock && !errors.Is(err, room.ErrOutcomeUnknown):
		db.storeUnlocked(ctx, ds, err)
	default:
		failAll(ds, err)
	}
}

// storeUnlocked commits, in one more attempt, the drafts for conversations that no
// other transaction holds; the others fail with err.
func (db *DB) storeUnlocked(ctx context.Context, ds []*draft, err error) {
	held, heldErr := db.held(ctx, ds)
	if heldErr != nil {
		failAll(ds, heldErr)
		return
	}
	free := make([]*draft, 0, len(ds))
	for _, d := range ds {
		if held[d.ask.conversation] {
			d.err = err
			continue
		}
		free = append(free, d)
	}
	if len(free) == 0 {
		return
	}
	db.log.WarnContext(ctx, "a batch of messages goes on without locked conversations",
		"messages", len(ds), "left_out", len(ds)-len(free))
	if _, err := db.insert(ctx, free, false); err != nil {
		failAll(free, err)
	}
}

// notFound is the error of a message whose conversation does not exist.
func notFound(conversation room.ID) error {
	return fmt.Errorf("conversation %s: %w", conversation, room.ErrNotFound)
}
