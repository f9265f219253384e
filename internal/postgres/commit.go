package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/room"
)

// maxCommit is the number of messages in one transaction. One transaction is under way
// at a time. The next one takes what has arrived meanwhile. Four concurrent ones would cost
// twice as much, here and in Postgres.
const maxCommit = 500

// Where commits are slow, as with a slow disk or a synchronous standby, one transaction at a time
// makes a message wait for two commits. So another transaction may start once all that are running
// have taken longer than slowCommit, if they have fewer than maxBesideSlow messages together. With
// more messages the load causes the delay, and larger batches are the better answer to that.
const (
	slowCommit     = 2 * time.Millisecond
	maxBesideSlow  = 16
	maxConcurrency = 8 // transactions, and at most a third of the pool
)

// maxDeadlocks is how often a batch is tried again that the server rolled back because of a
// deadlock with somebody else's transaction.
const maxDeadlocks = 3

type appendArg struct {
	conversation room.ID
	draft        room.Draft
}

type appendResult struct {
	message   room.Message
	duplicate bool
}

type draft = request[appendArg, appendResult]

// Append stores a message under the next number of the conversation, and returns it
// once it is committed. If the conversation already has a message of the sender with
// the same ClientMessageID, Append returns that message as a duplicate, whatever its
// text.
//
// Messages that one goroutine appends one after the other keep their order. After a
// [room.ErrOutcomeUnknown], which is also returned when ctx ends while the message waits for
// another batch, the message may be stored now or later: send it again with the same
// ClientMessageID. Append returns [room.ErrNotFound] if there is no such conversation, and
// [room.ErrErased] if the sender is erased.
func (db *DB) Append(ctx context.Context, conversation room.ID, d room.Draft) (m room.Message, duplicate bool, err error) {
	r, pending, err := db.commits.call(ctx, appendArg{conversation, d})
	if err == nil {
		return r.message, r.duplicate, nil
	}
	// A served request says itself whether its outcome is unknown.
	if f, ok := errors.AsType[*failure](err); ok && pending {
		err = f.withUnknownOutcome()
	}
	return room.Message{}, false, fmt.Errorf("append message to %s: %w", conversation, err)
}

// commit stores one batch of drafts.
func (db *DB) commit(ctx context.Context, ds []*draft) {
	start := time.Now()
	first, repeats := deduplicate(ds)
	db.store(ctx, first, firstStage(first))
	db.writes.note(first)
	var again []*draft
	for _, r := range repeats {
		if rejectsValue(r.first.err) {
			again = append(again, r.draft) // the first one was not stored, so this one may be
			continue
		}
		r.draft.result, r.draft.err = r.first.result, r.first.err
		r.draft.result.duplicate = true
	}
	if len(again) > 0 {
		db.commit(ctx, again)
	}
	db.metrics.commit.Observe(time.Since(start).Seconds())
	db.metrics.batch.Observe(float64(len(ds)))
}

type repeat struct{ draft, first *draft }

// deduplicate separates the drafts whose id occurs earlier in the batch: a statement
// does not see the rows that it inserts.
func deduplicate(ds []*draft) (first []*draft, repeats []repeat) {
	if len(ds) == 1 {
		return ds, nil
	}
	type key struct {
		conversation room.ID
		sender       room.UserID
		id           string
	}
	seen := make(map[key]*draft, len(ds))
	first = make([]*draft, 0, len(ds))
	for _, d := range ds {
		k := key{d.arg.conversation, d.arg.draft.Sender, d.arg.draft.ClientMessageID}
		if earlier := seen[k]; earlier != nil && k.id != "" {
			repeats = append(repeats, repeat{d, earlier})
			continue
		}
		seen[k] = d
		first = append(first, d)
	}
	return first, repeats
}

// firstStage returns how to insert drafts of which most are new and few conversations locked.
func firstStage(ds []*draft) stage {
	if len(ds) <= maxSingleInserts {
		return withoutLocks
	}
	return complete
}

// store commits drafts together. If some of them make that fail, it commits the others
// without them. If the database is down, all fail. It begins with the given stage.
func (db *DB) store(ctx context.Context, ds []*draft, s stage) {
	left, err := db.insert(ctx, ds, s)
	for range maxDeadlocks {
		if Cause(err) != causeDeadlock || errors.Is(err, room.ErrOutcomeUnknown) {
			break
		}
		left, err = db.insert(ctx, ds, s)
	}
	switch {
	case err == nil && len(left) > 0:
		db.store(ctx, left, s+1)
	case err == nil:
	case len(ds) > 1 && rejectsValue(err):
		// Halving finds one bad row among 500 in 18 roundtrips, and keeps the order.
		db.log.WarnContext(ctx, "Postgres rejected a batch of messages; retrying in halves", "messages", len(ds), "cause", err)
		db.store(ctx, ds[:len(ds)/2], s)
		db.store(ctx, ds[len(ds)/2:], s)
	case Cause(err) == causeLock && !errors.Is(err, room.ErrOutcomeUnknown):
		db.storeUnlocked(ctx, ds, err)
	default:
		failAll(ds, err)
	}
}

// storeUnlocked retries the drafts of conversations that are not locked. The others
// fail with err.
func (db *DB) storeUnlocked(ctx context.Context, ds []*draft, err error) {
	locked, lookupErr := db.lockedConversations(ctx, ds)
	if lookupErr != nil {
		failAll(ds, lookupErr)
		return
	}
	free := make([]*draft, 0, len(ds))
	for _, d := range ds {
		if locked[d.arg.conversation] {
			d.err = err
			continue
		}
		free = append(free, d)
	}
	if len(free) == 0 {
		return
	}
	db.log.WarnContext(ctx, "A batch of messages waited too long for a lock; retrying without the locked conversations",
		"messages", len(ds), "left_out", len(ds)-len(free))
	if _, err := db.insert(ctx, free, complete); err != nil {
		failAll(free, err)
	}
}

const selectLocked = `
WITH unlocked AS MATERIALIZED (
	SELECT id FROM roomspa.conversations WHERE id = ANY($1) FOR UPDATE SKIP LOCKED
)
SELECT id FROM roomspa.conversations WHERE id = ANY($1) AND id NOT IN (SELECT id FROM unlocked)`

// lockedConversations returns the conversations of ds that are row-locked by another
// transaction.
func (db *DB) lockedConversations(ctx context.Context, ds []*draft) (map[room.ID]bool, error) {
	ids := make([]room.ID, len(ds))
	for i, d := range ds {
		ids[i] = d.arg.conversation
	}
	locked := map[room.ID]bool{}
	err := db.roundtrip(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, _ := conn.Query(ctx, selectLocked, ids)
		var id room.ID
		_, err := pgx.ForEachRow(rows, []any{&id}, func() error {
			locked[id] = true
			return nil
		})
		return err
	})
	return locked, err
}

// noConversation returns the error of a message whose conversation does not exist.
func noConversation(conversation room.ID) error {
	return fmt.Errorf("conversation %s: %w", conversation, room.ErrNotFound)
}
